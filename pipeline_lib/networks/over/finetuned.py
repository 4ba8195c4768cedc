"""Finetuning: a network of the run that learns on, with another head, rate, or occluded images (thesis, Table 5.8)."""

from collections.abc import Mapping
from typing import Literal

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over.shared.settings import OverSettings

DESCRIPTION = "finetuned"


class Settings(OverSettings):
    """`over`: the one network that it begins as. embedding_dim is that network's."""

    arch: Literal["finetuned"] = "finetuned"
    over: tuple[str]


def build(settings: Settings, frozen: Mapping[str, FaceNetwork]) -> FaceNetwork:
    """The network itself, all of whose weights train: of this kind alone what comes in does not stay as it is. It is saved as
    what it is, a network of its own kind that stands on no other, and its head begins anew.

    Raises:
        ParamsError: embedding_dim is given, and is not the network's.
    """
    [network] = frozen.values()
    if "embedding_dim" in settings.model_fields_set and settings.embedding_dim != network.spec.embedding_dim:
        raise ParamsError(
            "A finetuned network has the embedding of the one that it begins as.",
            got=f"embedding_dim {settings.embedding_dim}",
            allowed=f"{network.spec.embedding_dim}, or no such key",
            where="networks_over",
        )
    return network.train().requires_grad_(True)
