"""The few figures of each score that a terminal has room for: what `dvc metrics show` shows, a file a row."""

from pathlib import Path

from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.matching.verification.figures import Metrics

# The figure of metrics.json, and the column's short name.
SHOWN = {"accuracy_mean": "acc", "auc": "auc", "eer": "eer"}
NUM_DIGITS = 4


def write_headline(folder: Path, metrics: Metrics) -> None:
    """Replace `folder` by one with `<protocol>/<score>.json`; of a score `cosine:iresnet` `<protocol>/cosine/iresnet.json`."""
    with atomic_dir(folder) as partial:
        for protocol, scores in metrics.items():
            for score, figures in scores.items():
                path = partial / protocol / f"{score.replace(':', '/')}.json"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(
                    path, {short: round(figures[name], NUM_DIGITS) for name, short in SHOWN.items() if name in figures}
                )
