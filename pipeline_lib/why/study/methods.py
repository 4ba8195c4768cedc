"""The explanations that a study compares, opened: their kinds, settings and networks."""

from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.world import current_world
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.explain import Explanation
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.section import NONE
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.explanation import KINDS, check_offers
from pipeline_lib.why.explanation.shared.threshold import equal_error
from pipeline_lib.why.study.candidates import Judge
from pipeline_lib.why.study.key import NO_EXPLANATION


def read_methods(names: Sequence[str]) -> dict[str, Explanation]:
    """The entries of `explanations` in params.yaml of the working directory.

    Raises:
        ParamsError: no name, or one twice, or one that is no entry, or that of faces alone.
    """
    if not names or len({*names, NO_EXPLANATION}) != len(names) + 1:
        allowed = f"each named once, and none called {NO_EXPLANATION}, which is the part of faces alone"
        raise ParamsError("A study compares explanations.", got=" ".join(names), allowed=allowed)
    return {name: read_entry("explanations", name, Explanation) for name in names}


def open_judges(data: Path, entries: Sequence[Explanation]) -> dict[str, Judge]:
    """The networks of entries, by name.

    Args:
        data: a rebuild's data folder.
        entries: of `explanations`.

    Raises:
        DataError: a file is missing or breaks its contract, or there are no validation pairs to find a threshold on.
        CheckpointError: a network cannot be read.
    """
    embed, pairs = read_section("embed", Embed), data / "ingest" / "pairs.parquet"
    judges = dict[str, Judge]()
    for network in dict.fromkeys(entry.network for entry in entries):
        decides = equal_error(data / "embed" / network, pairs, VALIDATION)
        if decides is None:
            raise DataError(
                "A study balances pairs that a network decides rightly and wrongly; the threshold of its decisions is found on "
                "validation pairs, and there are none.",
                got=network,
                allowed="ingest.val_share above 0",
            )
        loaded = load_network(data / "networks" / network).to(current_world().device)
        embedder = Embedder(loaded, embed.mirror, load_machine().images_per_batch, decides.threshold)
        judges[network] = Judge(embedder, decides.threshold, read_embeddings(data / "embed" / network))
    return judges


def open_explainer(data: Path, name: str, entry: Explanation, judge: Judge) -> Explainer:
    """An entry's method around its network.

    Args:
        data: a rebuild's data folder.
        name, entry: of `explanations`.
        judge: its network.

    Raises:
        ParamsError: a key of the entry is wrong, or its kind cannot explain this network.
        CheckpointError: the network that it looks with cannot be read.
    """
    where, base = f"{PARAMS_FILE}, explanations.{name}", judge.embedder
    kind, settings = kind_settings(KINDS, entry.kind, entry.own, where)
    check_offers(base.network, kind.REQUIRES, where)
    beside = None if entry.with_ == NONE else load_network(data / entry.with_).to(current_world().device)
    embedder = Embedder(base.network, base.mirror, base.images_per_batch, judge.threshold, beside)
    return Explainer(kind, settings, embedder)
