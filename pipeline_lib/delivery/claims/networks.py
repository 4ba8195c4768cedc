"""The networks of a run as a claim has to know them: their shape, and what they were trained with."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.params.networks import Patches

BUDGET = ("epochs", "num_images", "num_steps", "head", "checkpoint", "teacher")  # of a training's metrics.json


@dataclass(frozen=True)
class Trained:
    """A network that this run trained.

    Attributes:
        name: its entry in params.yaml; says nothing about what it is.
        column: its cosine among the pair scores.
        shape: network.json's spec without `patches`.
        patches: what makes it an RRFNet, None for whole faces.
        budget: epochs, training images, steps, the head with its settings, the weights that training began
            with, and the network that taught, none for labels.
    """

    name: str
    column: str
    shape: Mapping[str, Any]
    patches: Patches | None
    budget: Mapping[str, Any]

    @property
    def arch(self) -> str:
        """The kind of its layers."""
        return str(self.shape["arch"])

    @property
    def head(self) -> str:
        """The kind of its margin head."""
        return str(self.budget["head"]["kind"])

    def same_budget(self, other: "Trained", but: Collection[str] = ()) -> bool:
        """Whether the two differ in nothing but their patches, the shape's keys `but`, and keys that only one kind has."""
        shared = (self.shape.keys() & other.shape.keys()) - set(but)
        return self.budget == other.budget and all(self.shape[key] == other.shape[key] for key in shared)


def read_trained(networks: Path, records: Path, columns: Mapping[str, str]) -> tuple[Trained, ...]:
    """The networks that were trained here, by name; imported ones are none, for nobody knows their budget.

    Folders of other names are no part of the run: DVC leaves what a network that params no longer name has left.

    Args:
        networks: data/networks, a folder with network.json each.
        records: data/train, a folder with metrics.json each.
        columns: network -> its cosine's column among the pair scores; those of networks_over are passed over.

    Raises:
        DataError: a network has no training record, or a file lacks a key.
    """
    named = sorted(name for name in columns if (networks / name).is_dir())
    found = [_read(networks / name, records / name, columns[name]) for name in named]
    return tuple(network for network in found if network is not None)


def _read(folder: Path, record: Path, column: str) -> Trained | None:
    spec, training = read_json(folder / "network.json"), read_json(record / "metrics.json")
    try:
        if not training["trained"]:
            return None
        shape = dict(spec["spec"])
        patches = shape.pop("patches")
        budget = {key: training[key] for key in BUDGET}
    except KeyError as error:
        allowed = f"network.json: spec with patches; metrics.json: trained, {', '.join(BUDGET)}"
        where = f"{folder}, {record}"
        raise DataError("A network's files lack a key.", got=f"no {error}", allowed=allowed, where=where) from None
    cut = None if patches is None else Patches.model_validate(patches)
    return Trained(folder.name, column, shape, cut, budget)
