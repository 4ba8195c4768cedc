"""Generators: fake faces, how near they come to the training faces and to each other, and whether one is a copy."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report import figures
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.figures import Curve
from pipeline_lib.delivery.report.html import drawing, photo
from pipeline_lib.delivery.report.inputs import columns, read_csv, read_picture
from pipeline_lib.delivery.report.tables import Table
from pipeline_lib.schemas.nearest_faces import (
    FAKE_TO_FAKE,
    FAKE_TO_TRAINING,
    MEASURES,
    NEAREST_FACES,
    TO_OTHER_PEOPLE,
    TO_OWN_PHOTOGRAPHS,
)

ORDER = 85
TITLE = "Fake faces"
NEEDS = ("generators",)
WORDS = {
    FAKE_TO_TRAINING: "fake to training face",
    FAKE_TO_FAKE: "fake to another fake",
    TO_OTHER_PEOPLE: "training face to another person's",
    TO_OWN_PHOTOGRAPHS: "training face to the person's own",
}
LOSSES = ("discriminator", "generator")


@dataclass(frozen=True)
class Generated:
    """What one stage train_generator wrote: figures, losses against epochs, rows of nearest_faces, and pictures as PNG: the
    sheet, and of each measure the fakes nearest to a training face.
    """

    metrics: Mapping[str, float]
    losses: Mapping[str, Curve]
    nearest: pa.Table
    sheet: bytes
    strips: Mapping[str, bytes]


def read(data: Path) -> dict[str, Generated]:
    """By entry of `generators`.

    Raises:
        DataError: a file is missing or damaged.
    """
    return {folder.name: read_generated(folder) for folder in subfolders(data / "generators")}


def read_generated(folder: Path) -> Generated:
    """Read one stage's folder; see read."""
    path = folder / "history.csv"
    epoch, *losses = columns(read_csv(path), ("epoch", *LOSSES), path)
    return Generated(
        metrics=read_json(folder / "metrics.json"),
        losses={name: (epoch, loss) for name, loss in zip(LOSSES, losses, strict=True)},
        nearest=read_table(folder / "nearest.parquet", NEAREST_FACES),
        sheet=read_picture(folder / "sheet.png"),
        strips={measure: read_picture(folder / f"nearest_{measure}.png") for measure in MEASURES},
    )


def show(found: Mapping[str, Generated], about: About) -> dict[str, object]:
    """Of each entry its pictures, losses, distances and the table of copies."""
    named = of_params(found, about.params.generators)
    return {"generators": {name: _entry(name, generated) for name, generated in named.items()}}


def _entry(name: str, generated: Generated) -> dict[str, object]:
    try:
        limits = {measure: generated.metrics[f"{measure}.copy_cosine"] for measure in MEASURES}
        table = copies_table(generated.metrics)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError("A generator's figures are incomplete; rerun it.", got=f"{name}: {error!r}") from error
    curves = {
        measure: {
            words: rows["cosine"].to_numpy()
            for relation, words in WORDS.items()
            if (rows := _rows(generated.nearest, measure, relation)).num_rows
        }
        for measure in MEASURES
    }
    return {
        "sheet": photo(generated.sheet),
        "strips": {measure: photo(strip) for measure, strip in generated.strips.items()},
        "losses": drawing(figures.loss_figure(generated.losses)),
        "nearest": drawing(figures.nearest_figure(curves, limits)),
        "copies": table,
        "num_copies": max(int(generated.metrics[f"{measure}.num_copies"]) for measure in MEASURES),
    }


def copies_table(metrics: Mapping[str, float]) -> Table:
    """A row a measure: how many of the judged fakes are copies, look like a training person, or have a twin."""
    total = int(metrics["num_judged"])
    rows = []
    for measure in MEASURES:
        counts = (f"{int(metrics[f'{measure}.num_{what}'])} of {total}" for what in ("copies", "lookalikes", "twins"))
        limits = (f"{metrics[f'{measure}.{limit}']:.3f}" for limit in ("copy_cosine", "person_cosine"))
        rows.append((measure, *counts, *limits))
    names = ("by", "copies", "look-alikes", "twins", "a copy's cosine", "one person's cosine")
    return Table(names, tuple(rows), (False,) * len(rows), num_words=1)


def _rows(nearest: pa.Table, measure: str, relation: str) -> pa.Table:
    return nearest.filter(pc.and_(pc.equal(nearest["measure"], measure), pc.equal(nearest["relation"], relation)))
