"""Face-ViT: two images compared by a transformer that sees both (thesis, chapter 4)."""

from typing import Any

import numpy as np
import torch

from pipeline_lib.core.cosine import Floats
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.kinds import checked
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.over import face_vit
from pipeline_lib.networks.over.face_vit import FaceViT, PairEncoder

PAIRS_AT_ONCE = 64


class Settings(ScoreSettings):
    """It has none: `with` names the network, and `of` its embeddings."""


class FaceVitScore(Scorer):
    """What a FaceViT's `compare` says: cos(f_1, f_2) of model H2L, 2 p - 1 of model H2.

    Args:
        network: the FaceViT; its embeddings are kept with their patch features.
        encoder: its part above the frozen network, in eval mode on the CPU.
    """

    def __init__(self, network: str, encoder: PairEncoder) -> None:
        self.needs, self.encoder = Needs(network=network, with_patches=True), encoder
        self.is_cosine = encoder.settings.output == "linear"

    @torch.inference_mode()
    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer.

        Raises:
            DataError: the patch features have another shape than the network's.
        """
        sides = [torch.from_numpy(given(side.patches)) for side in (a, b)]
        shape = self.encoder.num_patches, self.encoder.channels
        for patches in sides:
            if patches.shape[1:] != shape:
                raise DataError("Patch features are of another network.", got=tuple(patches.shape[1:]), allowed=shape)
        blocks = zip(*(torch.split(side, PAIRS_AT_ONCE) for side in sides), strict=True)
        compared = [self.encoder.compare(*map(self.encoder.tokens, block)) for block in blocks]
        return torch.cat(compared).numpy() if compared else np.zeros(0, np.float32)

    def state(self) -> State:
        """See Scorer."""
        encoder = self.encoder
        values: dict[str, Any] = {
            "network": self.needs.network,
            "settings": encoder.settings.to_json(),
            "shape": [encoder.num_patches, encoder.channels],
        }
        return values | {name: value.numpy() for name, value in encoder.state_dict().items()}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """One column, named as the entry.

    Raises:
        DataError: `of` is not the embeddings of the network in `with`, or that is none of kind face_vit.
        CheckpointError: it is missing or damaged.
    """
    name, network = reads.one_network(), load_network(reads.with_)
    if not isinstance(network, FaceViT) or name != reads.with_.name:
        allowed = "of: embed/<name>, with: networks_over/<name>, a network of kind face_vit"
        raise DataError("A score of two images needs its network.", got=f"{reads.of}, {reads.with_}", allowed=allowed)
    return {"": FaceVitScore(name, network.encoder)}


def restore(state: State) -> Scorer:
    """See Scorer.state; raises DataError where the state is of another network than this version's."""
    try:
        settings = checked(face_vit.Settings, state["settings"], "settings")
        encoder = PairEncoder(settings, *state["shape"])
        tensors = {name: torch.from_numpy(value) for name, value in state.items() if isinstance(value, np.ndarray)}
        encoder.load_state_dict(tensors)
    except (ParamsError, RuntimeError) as error:
        raise DataError("A saved score is of another network.", got=error) from error
    return FaceVitScore(state["network"], encoder.eval())
