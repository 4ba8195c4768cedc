"""The networks side by side, as RRFNet's Tables III and V: what each is, and how well it verifies on every protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.score_words import BASELINE
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, protocols_of
from pipeline_lib.params.networks import Network, NetworkOver

ORDER = 30
TITLE = "Networks"
NEEDS = ("networks",)
# Folders below data/: of networks, of what their training noted; and of their kinds.
FOLDERS = (("networks", "train"), ("networks_over", "train_over"))
NUM_WORDS = 3

Metrics = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class NetworkFiles:
    """One network: its network.json and where that lies, the folder of its kind, and its number of parameters."""

    description: Mapping[str, Any]
    where: Path
    package: str
    num_parameters: int


@dataclass(frozen=True)
class Networks:
    """Every network, and the verification figures by protocol and score."""

    networks: Mapping[str, NetworkFiles]
    metrics: Metrics


def read(data: Path) -> Networks:
    """Raises DataError: a file is missing or damaged."""
    networks = {}
    for of_networks, of_trainings in FOLDERS:
        for folder in subfolders(data / of_networks):
            path, training = folder / "network.json", data / of_trainings / folder.name / "metrics.json"
            description, figures = read_json(path), read_json(training)
            # a finetuned network, too, stands on no other
            package = "networks.over" if "frozen" in description else "networks.backbones"
            try:
                networks[folder.name] = NetworkFiles(description, path, package, int(figures["num_parameters"]))
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(
                    "A training's figures are damaged; rerun it.", got=repr(error), where=training
                ) from error
    verified = data / "verify" / "metrics.json"
    return Networks(networks, read_json(verified) if verified.is_file() else {})


def show(found: Networks, about: About) -> dict[str, object]:
    """See networks_table."""
    return {"networks": networks_table(found, {**about.params.networks, **about.params.networks_over})}


def networks_table(found: Networks, sections: Mapping[str, Network | NetworkOver]) -> Table:
    """Accuracy and AUC of each network's plain cosine, a column a protocol (val last), below those of the raw pixels.

    Raises:
        CheckpointError: a network's description cannot be read.
        DataError: the figures have a network on some protocols only.
    """
    protocols = protocols_of(protocol for protocol, scores in found.metrics.items() if scores)
    pixels = (BASELINE, "cosine of the aligned pixels", NO_FIGURE, NO_FIGURE)
    rows = [(*pixels, *_figures(found.metrics, protocols, BASELINE))]
    for name, network in of_params(found.networks, sections).items():
        words = (name, _words(network), _training(sections[name]), f"{network.num_parameters:,}")
        rows.append((*words, *_figures(found.metrics, protocols, f"cosine:{name}")))
    columns = ("network", "what it is", "trained with", "parameters", *(f"{name}, % (AUC)" for name in protocols))
    return Table(columns, tuple(rows), tuple(number == 1 for number in range(len(rows))), NUM_WORDS)


def _words(network: NetworkFiles) -> str:
    from pipeline_lib.networks.backbones.shared.build import describe, spec_from_json  # imports torch

    return describe(spec_from_json(network.description.get("spec"), network.where, network.package))


def _training(section: Network | NetworkOver) -> str:
    return f"{section.head.kind}, {section.epochs} epochs" if section.epochs else "published weights"


def _figures(metrics: Metrics, protocols: list[str], score: str) -> list[str]:
    rows = [metrics[protocol].get(score) for protocol in protocols]
    if any(rows) and not all(rows):
        missing = protocols[rows.index(None)]
        raise DataError("The verification figures lack a score.", got=missing, allowed=score, where=missing)
    return [f"{100 * row['accuracy_mean']:.2f} ({row['auc']:.3f})" if row else NO_FIGURE for row in rows]
