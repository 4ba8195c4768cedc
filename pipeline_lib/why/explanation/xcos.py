"""xCos: where the cosine module trained over the network looks, and what it sees there (Lin et al. 2021; METHODS, section 8)."""

from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.xcos import XCos
from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation, Requires

REQUIRES: Requires = "patches"


class Settings(Section):
    """`map`: the attention W, which is never negative, or the cosines S of the cells."""

    map: Literal["attention", "cosine"] = "attention"


@torch.inference_mode()
def explain(network: Embedder, pair: EmbeddedPair, settings: Settings, rng: np.random.Generator) -> Explanation:
    """Show W or S of networks.over.xcos on both faces: one value a pair of cells at the same place.

    W sums to 1 over the cells, S lies in [-1, 1], and Σ W S follows the network's cosine as far as the training went; the score
    here is the network's own. With mirrored images the patches are the sums p_i(x) + p_m(i)(mirror x), of which xCos takes the
    mean of the two: its cells are affine in them, so W and S are those of its own cells added in the same way. (METHODS leaves
    this open; the paper has no mirrored images.)

    Args:
        network: one with a trained xCos beside it.
        pair: two faces, by `network`, with patches.
        settings: see there.
        rng: not used.

    Raises:
        ParamsError: there is nothing beside the network, no xCos, or one of another network.
        DataError: an embedding or a cell of xCos has no direction.
    """
    assert pair.patches is not None, "a kind of patches is given them"
    xcos = _xcos_of(network.network, network.beside)
    patches = network.on_device(pair.patches)
    cells = xcos.cells(patches / 2 if network.mirror else patches)
    unit(cells.cpu().numpy())  # refuses cells without a direction
    attention, cosines = xcos.compare(*cells[:, None])
    values = (attention if settings.map == "attention" else cosines)[0].cpu().numpy()
    return Explanation(np.stack([cell_map(values, xcos.grid)] * 2), pair.score, boxes=xcos.grid)


@lru_cache(maxsize=1)
def _xcos_of(explained: FaceNetwork, beside: FaceNetwork | None) -> XCos:
    """`beside` as the XCos over `explained`, looked at once: comparing all weights takes as long as a pair."""
    if not isinstance(beside, XCos):
        raise ParamsError(
            "This explanation needs a trained xCos over the network that is explained.",
            got="none" if beside is None else f"arch {beside.spec.arch}",
            allowed="`with`: networks_over/<an entry of kind xcos>",
            where="explanations",
        )
    own, other = explained.state_dict(), beside.frozen_networks()[beside.explained].state_dict()
    if own.keys() != other.keys() or not all(torch.equal(value, other[name]) for name, value in own.items()):
        raise ParamsError(
            "An xCos stands on another network than the one that is explained.",
            got=f"one over {beside.explained}, whose weights are others",
            allowed="`network`: the one that the entry of `with` is `over`",
            where="explanations",
        )
    return beside
