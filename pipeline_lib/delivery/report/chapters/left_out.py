"""Left out: what a rebuild that trained nothing does not have, and why."""

from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.delivery.report.chapter import About, subfolders
from pipeline_lib.schemas.manifest import MANIFEST

ORDER = 5
TITLE = "Left out"
NEEDS = ("ingest/manifest.parquet", "train")
# Folders below data/ of what stands on trained networks.
OTHERS = {"train_region": "region networks", "rerank": "re-ranking", "explain": "explanations"}


@dataclass(frozen=True)
class LeftOut:
    """`parts`: in words; `published`: the networks that were taken in; how many people and photographs there are."""

    parts: tuple[str, ...]
    published: tuple[str, ...]
    num_people: int
    num_photos: int


def read(data: Path) -> LeftOut | None:
    """None where something was trained; raises DataError where a file is missing or damaged."""
    published = subfolders(data / "train")
    records = [*published, *subfolders(data / "train_over"), *subfolders(data / "train_region")]
    if any(
        read_json(folder / "metrics.json").get("trained") for folder in records
    ):  # training says where that is missing
        return None
    photographs = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    parts = ("training", *(words for folder, words in OTHERS.items() if not subfolders(data / folder)))
    names = tuple(folder.name for folder in published)
    return LeftOut(parts, names, len(photographs["identity"].unique()), photographs.num_rows)


def show(found: LeftOut, about: About) -> dict[str, object]:
    """See in_words."""
    return {"words": in_words(found)}


def in_words(found: LeftOut) -> str:
    """What was left out, why, and what there is instead."""
    return (
        f"{', '.join(found.parts)}. params.yaml trains nothing, as with scale=untrained, which `make repro` takes where people "
        f"are too few to train on. Here are {found.num_people}, with {found.num_photos} photographs; the networks have "
        f"published weights ({', '.join(found.published)})."
    )
