"""Regions: one network for each region of the face (RRFNet, Table II), and how much each counts together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.html import data_uri
from pipeline_lib.delivery.report.inputs import Rows, read_csv, read_picture
from pipeline_lib.delivery.report.region_table import Weights, read_widest_weights, regions_table
from pipeline_lib.matching.verification.region_table import POSITION

ORDER = 40
TITLE = "Regions"
NEEDS = ("verify",)


@dataclass(frozen=True)
class Regions:
    """Rows of data/verify/regions.csv; the weights and the drawn weights of every fit."""

    rows: Rows
    weights: Mapping[str, Weights]
    weight_maps: Mapping[str, bytes]


def read(data: Path) -> Regions | None:
    """None where no single region was verified.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = read_csv(data / "verify" / "regions.csv")
    if not any(row.get("kind") == POSITION for row in rows):
        return None
    fits = {folder.name: folder for folder in subfolders(data / "region_weights")}
    return Regions(
        rows=rows,
        weights={name: read_widest_weights(folder / "weights.json") for name, folder in fits.items()},
        weight_maps={name: read_picture(folder / "weight_map.png") for name, folder in fits.items()},
    )


def show(found: Regions, about: About) -> dict[str, object]:
    """Table II with a column of weights a fit, and the fits' maps; see regions_table."""
    fits = about.params.regions.weights
    weights = of_params(found.weights, fits)
    maps = of_params(found.weight_maps, fits)
    return {
        "regions": regions_table(found.rows, weights),
        "weight_maps": {name: data_uri(picture) for name, picture in maps.items()},
    }
