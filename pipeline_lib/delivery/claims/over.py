"""The networks over others of a run, and those that were finetuned, as a claim has to know them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json

BUDGET = ("epochs", "num_images")  # of a training's metrics.json; steps count images of one kind, pairs of the other


@dataclass(frozen=True)
class Over:
    """An entry of `networks_over` of this run.

    Attributes:
        name: says nothing about what it is.
        spec: of network.json.
        budget: epochs and training images.
    """

    name: str
    spec: Mapping[str, Any]
    budget: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """A kind of networks/over; of a finetuned network that of the network itself, which it is saved as."""
        return str(self.spec["arch"])

    @property
    def over(self) -> tuple[str, ...]:
        """The frozen networks that it stands on; none of a finetuned one."""
        return tuple(self.spec.get("over", ()))

    def alike(self, other: "Over", but: Collection[str]) -> bool:
        """Whether the two stand on the same networks and differ in nothing but these keys and those that one kind lacks."""
        shared = (self.spec.keys() & other.spec.keys()) - set(but)
        return (
            self.over == other.over
            and self.budget == other.budget
            and all(self.spec[key] == other.spec[key] for key in shared)
        )


def read_over(networks: Path, records: Path) -> tuple[Over, ...]:
    """The networks below data/networks_over, by name, with what data/train_over says of their training; none without the folder.

    Raises:
        DataError: a network has no training record, or a file lacks a key.
    """
    return tuple(_read(path.parent, records / path.parent.name) for path in sorted(networks.glob("[!.]*/network.json")))


def read_specs(networks: Path) -> dict[str, Mapping[str, Any]]:
    """The spec of each network below data/networks, by name."""
    return {path.parent.name: read_json(path)["spec"] for path in sorted(networks.glob("[!.]*/network.json"))}


def _read(folder: Path, record: Path) -> Over:
    spec, training = read_json(folder / "network.json"), read_json(record / "metrics.json")
    try:
        return Over(folder.name, spec["spec"], {key: training[key] for key in BUDGET})
    except KeyError as error:
        allowed = f"network.json: spec; metrics.json: {', '.join(BUDGET)}"
        where = f"{folder}, {record}"
        raise DataError("A network's files lack a key.", got=f"no {error}", allowed=allowed, where=where) from None
