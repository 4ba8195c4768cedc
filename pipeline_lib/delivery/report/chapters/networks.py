"""The networks side by side, as RRFNet's Tables III and V: what each is, and how well it verifies on every protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.figures import BASELINE
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, protocols_of
from pipeline_lib.params.networks import Network, NetworkOver

ORDER = 30
TITLE = "Networks"
NEEDS = ("networks",)
FOLDERS = (("networks", "train"), ("networks_over", "train_over"))  # of the networks, and of what their training noted
NUM_WORDS = 3

Figures = Mapping[str, Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class Networks:
    """Every network's spec and number of parameters, and the verification figures by protocol and score."""

    specs: Mapping[str, Mapping[str, Any]]
    num_parameters: Mapping[str, int]
    metrics: Figures


def read(data: Path) -> Networks:
    """Raises DataError: a file is missing or damaged."""
    specs: dict[str, Mapping[str, Any]] = {}
    sizes: dict[str, int] = {}
    for of_networks, of_trainings in FOLDERS:
        for folder in subfolders(data / of_networks):
            description, training = folder / "network.json", data / of_trainings / folder.name / "metrics.json"
            try:
                specs[folder.name] = read_json(description)["spec"]
                sizes[folder.name] = int(read_json(training)["num_parameters"])
            except (KeyError, TypeError, ValueError) as error:
                problem = "A network's description or training lacks a figure; rerun its train stage."
                raise DataError(problem, got=repr(error), where=f"{description}, {training}") from error
    verified = data / "verify" / "metrics.json"
    return Networks(specs, sizes, read_json(verified) if verified.is_file() else {})


def show(found: Networks, about: About) -> dict[str, object]:
    """See networks_table."""
    return {"networks": networks_table(found, {**about.params.networks, **about.params.networks_over})}


def networks_table(found: Networks, sections: Mapping[str, Network | NetworkOver]) -> Table:
    """Accuracy and AUC of each network's plain cosine, a column a protocol (val last), below those of the raw pixels.

    Raises:
        DataError: the figures have a network on some protocols only.
    """
    protocols = protocols_of(protocol for protocol, scores in found.metrics.items() if scores)
    specs = of_params(found.specs, sections)
    rows = [(BASELINE, "cosine of the aligned pixels", NO_FIGURE, NO_FIGURE, *_figures(found, protocols, BASELINE))]
    for name, spec in specs.items():
        words = (name, describe(spec), _training(sections[name]), f"{found.num_parameters[name]:,}")
        rows.append((*words, *_figures(found, protocols, f"cosine:{name}")))
    columns = ("network", "what it is", "trained with", "parameters", *(f"{name}, % (AUC)" for name in protocols))
    return Table(columns, tuple(rows), tuple(number == 1 for number in range(len(rows))), NUM_WORDS)


def describe(spec: Mapping[str, Any]) -> str:
    """A network in words: its architecture, what that is made with, and the patches it sees.

    Args:
        spec: of network.json.
    """
    shared = {"arch", "embedding_dim", "input_px", "patches"}
    made_with = [f"{key.replace('_', ' ')} {_value(value)}" for key, value in spec.items() if key not in shared]
    layers = ", ".join([str(spec["arch"]), *made_with])
    patches = spec.get("patches")
    if patches is None:
        return layers
    share, mode = patches["mask_share"], patches["mask_mode"]
    masked = f", {100 * share:g} % masked ({mode})" if share else ""
    return f"RRFNet-{patches['side_px']}, {patches['layout']}{masked}: {layers}"


def _value(value: object) -> str:
    if isinstance(value, list):
        return "-".join(map(_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _training(section: Network | NetworkOver) -> str:
    return f"{section.head.kind}, {section.epochs} epochs" if section.epochs else "published weights"


def _figures(found: Networks, protocols: list[str], score: str) -> list[str]:
    rows = [found.metrics[protocol].get(score) for protocol in protocols]
    if any(rows) and not all(rows):
        missing = protocols[rows.index(None)]
        raise DataError("The verification figures lack a score.", got=missing, allowed=score, where=missing)
    return [f"{100 * row['accuracy_mean']:.2f} ({row['auc']:.3f})" if row else NO_FIGURE for row in rows]
