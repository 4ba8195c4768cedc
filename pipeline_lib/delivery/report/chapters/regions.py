"""Regions: one network for each region of the face (RRFNet, Table II), and how much each counts together."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.chapter import About, of_params, subfolders
from pipeline_lib.delivery.report.html import photo
from pipeline_lib.delivery.report.inputs import Rows, read_csv, read_picture
from pipeline_lib.delivery.report.region_table import regions_table
from pipeline_lib.delivery.report.region_variants import variants_table
from pipeline_lib.matching.regions.fits import RegionFit, read_region_fits
from pipeline_lib.matching.verification.region_table import NETWORK, POSITION, VARIANT

ORDER = 40
TITLE = "Regions"
NEEDS = ("verify",)


@dataclass(frozen=True)
class Regions:
    """Rows of data/verify/regions.csv; of every entry of regions.weights the widest combination, metrics.json, and all drawn."""

    rows: Rows
    fits: Mapping[str, RegionFit]
    metrics: Mapping[str, Mapping[str, Mapping[str, float]]]
    weight_maps: Mapping[str, bytes]


def read(data: Path) -> Regions | None:
    """None where no single region was verified.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = read_csv(data / "verify" / "regions.csv")
    if not any(row.get("kind") == POSITION for row in rows):
        return None
    folders = {folder.name: folder for folder in subfolders(data / "region_weights")}
    return Regions(
        rows=rows,
        fits={name: widest_fit(folder / "weights.json") for name, folder in folders.items()},
        metrics={name: read_json(folder / "metrics.json") for name, folder in folders.items()},
        weight_maps={name: read_picture(folder / "weight_map.png") for name, folder in folders.items()},
    )


def widest_fit(path: Path) -> RegionFit:
    """The fit of the combination of all positions; see read."""
    return list(read_region_fits(path).values())[-1]


def show(found: Regions, about: About) -> dict[str, object]:
    """Table II with a column of weights a fit, and the fits' maps; see regions_table. Of the networks, those of whole faces."""
    entries, networks = about.params.regions.weights, about.params.networks
    maps = of_params(found.weight_maps, entries)
    whole = {f"cosine:{name}" for name, network in networks.items() if network.patches is None}
    rows = [row for row in found.rows if row["kind"] not in (NETWORK, VARIANT) or row["score"] in whole]
    return {
        "regions": regions_table(rows, of_params(found.fits, entries)),
        "variants": variants_table(found.rows, of_params(found.metrics, entries)),
        "weight_maps": {name: photo(picture) for name, picture in maps.items()},
    }
