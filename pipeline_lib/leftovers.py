"""What earlier parameters left below data/: DVC keeps the outputs of an entry that was removed, and stages that read a whole
folder would take them for the present run's.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from pipeline_lib.params.section import NONE
from pipeline_lib.params.whole import Params


def entries_by_folder(params: Params) -> Mapping[str, Iterable[str]]:
    """The entries that each folder below data/ may hold an output of, a file or a folder of the entry's name."""
    networks, regions = [*params.networks, *params.networks_over], params.regions
    of_regions = [*regions.alone, *regions.groups]
    return {
        "networks": params.networks,
        "train": params.networks,
        "networks_over": params.networks_over,
        "train_over": params.networks_over,
        "embed": networks,
        "teachers": [*params.teachers, NONE],
        "attack": params.attacks,
        "gallery": params.galleries,
        "region_networks": of_regions,
        "train_region": of_regions,
        "region_embeddings": of_regions,
        "region_pairs": regions.weights,
        "region_weights": regions.weights,
        "generators": params.generators,
        "anchors": params.anchors,
        "scores": params.scores,
        "all_pairs": params.all_pairs,
        "rerank": params.rerank,
        "explain": params.explanations,
    }


def remove_leftovers(params: Params, data: Path) -> list[Path]:
    """Remove the outputs of entries that params no longer name; DVC's cache keeps them, should an entry come back.

    Returns:
        What was removed, sorted. Files that begin with a dot stay.
    """
    removed = []
    for folder, entries in entries_by_folder(params).items():
        found = (data / folder).iterdir() if (data / folder).is_dir() else []
        removed += [path for path in found if _is_left(path.name, entries)]
    for path in removed:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sorted(removed)


def _is_left(name: str, entries: Iterable[str]) -> bool:
    return not name.startswith(".") and name.removesuffix(".parquet") not in entries
