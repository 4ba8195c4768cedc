"""What a model says of itself: when it was made, and on what it was trained and calibrated."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.choice import Choice
from pipeline_lib.delivery.verifier.about import About
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.networks.backbones.shared.checkpoints import DESCRIPTION
from pipeline_lib.networks.heads.shared.class_weights import NAMES as CLASSES
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.tracking.lineage import git_state


def about_model(name: str, choice: Choice, ingest: Ingest, pairs: PairSet, data: Path) -> About:
    """Of the rebuild in `data`.

    Args:
        name: under which it is registered.
        choice: what is.
        ingest: its section.
        pairs: from read_pairs.
        data: the rebuild's folder.

    Raises:
        DataError: a file is missing or damaged.
    """
    sources = ", ".join(dict.fromkeys(source.kind for source in ingest.sources))
    manifest = read_table(data / "ingest" / "manifest.parquet", MANIFEST)
    training = manifest.filter(pc.equal(manifest["split"], "train"))
    people = pc.count_distinct(training["identity"]).as_py()
    photographs = f"{training.num_rows:,} photographs of {people:,} people ({sources})"
    commit, _ = git_state()
    return About(
        name=name,
        made=datetime.now(UTC).date().isoformat(),
        networks=", ".join(_described(network, folder) for network, folder in choice.networks.items()),
        trained_on=_training(choice, photographs),
        calibrated_on=_calibration(choice, pairs, sources),
        commit=commit,
    )


def _described(name: str, folder: Path) -> str:
    description = read_json(folder / DESCRIPTION)
    spec = description["spec"]
    taught = f", taught by {description['taught_by']}" if description.get("taught_by") else ""
    return f"{name} ({spec.get('arch') or spec.get('kind')}{taught})"


def _training(choice: Choice, photographs: str) -> str:
    """Which networks were trained here, and which came as they are."""
    trained = [
        name for name, folder in choice.networks.items() if choice.scorer.needs.positions or _was_trained(folder)
    ]
    others = [name for name in choice.networks if name not in trained]
    told = [f"{', '.join(trained)}: {photographs}"] if trained else []
    return "; ".join([*told, *([f"{', '.join(others)}: not here; the weights are as they came"] if others else [])])


def _was_trained(folder: Path) -> bool:
    """What learned people keeps their class weights, a student names its teacher, a network over others was always trained."""
    return (folder / CLASSES).is_file() or bool({"taught_by", "frozen"} & read_json(folder / DESCRIPTION).keys())


def _calibration(choice: Choice, pairs: PairSet, sources: str) -> str:
    calibration = choice.calibration
    if choice.note:
        return f"{calibration.num_pairs:,} pairs that the package brings figures of ({calibration.protocol})"
    rows = _validation(pairs)
    people = len({name for side in ("image_a", "image_b") for name in pairs.owners(rows[side].to_pylist())})
    num_genuine = pc.sum(rows["genuine"]).as_py() or 0
    return (
        f"{rows.num_rows:,} validation pairs, {num_genuine:,} of one person and {rows.num_rows - num_genuine:,} of two, of "
        f"{people:,} people ({sources})"
    )


def _validation(pairs: PairSet) -> pa.Table:
    return pairs.table.filter(pc.equal(pairs.table["protocol"], VALIDATION))
