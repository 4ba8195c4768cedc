"""Which method explains a registered model's answers, and which second one checks its map."""

from types import ModuleType

import numpy as np

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.delivery.verifier import region_sum
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.why.explanation.shared.agreement import MIN_RANK_CORRELATION, rank_correlation
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import KINDS, Explanation

AUTO = "auto"
OFFERED = ("additive", "xssab", "xface", "occlusion")  # those of them that this version has
CHECK, CHECK_OF_ITSELF = "occlusion", "xssab"
SEED = 0
TITLES = {
    "additive": "the network's own sum over patches",
    "xssab": "xSSAB (gradients)",
    "xface": "xFace (hidden squares)",
    "occlusion": "occlusion (hidden squares)",
    region_sum.METHOD: "the weighted sum of the regions' cosines",
}


def method_names() -> list[str]:
    """The methods that may be asked for, beside AUTO."""
    return [name for name in OFFERED if name in kind_names(KINDS)]


def chosen_method(asked: str, network: FaceNetwork | None) -> str:
    """The method that `asked` means: AUTO is a network's own sum where it has one, else xSSAB.

    Args:
        asked: AUTO or a name.
        network: of the whole face; None for a score of regions, which is a sum and has no other explanation.

    Raises:
        ParamsError: there is no such method, or it explains no such model.
    """
    if network is None:
        usual, possible = region_sum.METHOD, [region_sum.METHOD]
    else:
        usual = "additive" if network.additive else "xssab"
        possible = [name for name in method_names() if network.additive or _kind(name).REQUIRES != "additive"]
    if asked not in (AUTO, *possible):
        raise ParamsError(
            "This model is not explained by that method.", got=asked, allowed=", ".join([AUTO, *possible])
        )
    return usual if asked == AUTO else asked


def explained(method: str, embedder: Embedder, pair: EmbeddedPair) -> Explanation:
    """The method's explanation, with its settings' defaults; pictures' smoothing where it has one.

    Raises:
        DataError: the pair has none, such as gradients that are not finite.
    """
    kind = _kind(method)
    smoothed = {"blur": True} if "blur" in kind.Settings.model_fields else {}
    found: Explanation = kind.explain(embedder, pair, kind.Settings(**smoothed), np.random.default_rng(SEED))
    return found


def reliability(method: str, found: Explanation, embedder: Embedder, pair: EmbeddedPair) -> str:
    """Whether a second method points at the same parts, in words.

    The second is occlusion: it hides a part and looks at the score itself, and so takes nothing for granted that a sum or a
    gradient does. It embeds 98 images.

    Raises:
        DataError: see explained.
    """
    second = CHECK_OF_ITSELF if method == CHECK else CHECK
    agreement = rank_correlation(found.maps, explained(second, embedder, pair).maps)
    figure = f"rank correlation {agreement:.2f} of 49 cells, the lower of both faces"
    if agreement < MIN_RANK_CORRELATION:
        return (
            f"Take the places with care: a second method, {TITLES[second]}, does not point at the same parts ({figure}; below "
            f"{MIN_RANK_CORRELATION} two maps agree no more than by chance)."
        )
    return (
        f"A second method, {TITLES[second]}, points at much the same parts ({figure}; by chance alone it would seldom be above "
        f"{MIN_RANK_CORRELATION})."
    )


def _kind(name: str) -> ModuleType:
    return load_kind(KINDS, name, where="method")
