"""Training: losses and figures of every network."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.delivery.report.html import Picture, drawing
from pipeline_lib.delivery.report.inputs import columns, read_csv
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table

ORDER = 80
TITLE = "Training"
NEEDS = ()
GROUPS = {"train": "networks", "train_over": "networks over others", "train_region": "region networks"}
IMPORTED = ("0", *(NO_FIGURE,) * 4)  # steps, and what there is none of without them


@dataclass(frozen=True)
class Training:
    """One training stage's figures, and epoch and loss of each row of its history (none if weights were only imported)."""

    metrics: Mapping[str, Any]
    history: Curve


def read(data: Path) -> dict[str, dict[str, Training]] | None:
    """By folder below data/ and entry; None where nothing was trained or imported.

    Raises:
        DataError: a file is missing or damaged.
    """
    found = {group: {folder.name: read_training(folder) for folder in subfolders(data / group)} for group in GROUPS}
    return found if any(found.values()) else None


def read_training(folder: Path) -> Training:
    """Read one stage's folder; see read."""
    path = folder / "history.csv"
    epoch, loss = columns(read_csv(path), ("epoch", "loss"), path)
    return Training(read_json(folder / "metrics.json"), (epoch, loss))


def show(found: Mapping[str, Mapping[str, Training]], about: About) -> dict[str, object]:
    """A figure of losses a group, and a table of all; see trainings_table."""
    params = about.params
    named: dict[str, Iterable[str]] = {
        "train": params.networks,
        "train_over": params.networks_over,
        "train_region": (*params.regions.alone, *params.regions.groups),
    }
    losses: list[tuple[str, Picture]] = []
    trainings: dict[str, Training] = {}
    for group, title in GROUPS.items():
        of_group = of_params(found[group], named[group])
        curves = {name: training.history for name, training in of_group.items() if len(training.history[0])}
        if curves:
            losses.append((title, drawing(figures.loss_figure(curves))))
        trainings |= of_group
    return {"losses": losses, "trainings": trainings_table(trainings)}


def trainings_table(trainings: Mapping[str, Training]) -> Table:
    """A row a training stage; dashes where weights were imported.

    Raises:
        DataError: figures are missing; names the network.
    """
    rows = []
    for name, training in trainings.items():
        metrics = training.metrics
        try:
            cells = (f"{metrics['num_parameters']:,}", *(_figures(metrics) if metrics["trained"] else IMPORTED))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("A training's figures are incomplete; rerun it.", got=f"{name}: {error!r}") from error
        rows.append((name, *cells))
    names = ("network", "parameters", "steps", "images", "identities", "last loss", "images/s")
    return Table(names, tuple(rows), (False,) * len(rows), num_words=1)


def _figures(metrics: Mapping[str, Any]) -> tuple[str, ...]:
    counts = (f"{metrics[key]:,.0f}" for key in ("num_steps", "num_images", "num_identities"))
    return (*counts, f"{metrics['loss']:.3f}", f"{metrics['images_per_s']:.0f}")
