"""data/headline: a small file a score, as `dvc metrics show` prints it in a terminal's width."""

import json
from pathlib import Path

from pipeline_lib.matching.verification.headline import write_headline


def test_a_file_a_score_with_the_figures_there_are(tmp_path: Path) -> None:
    folder = tmp_path / "headline"
    (folder / "gone").mkdir(parents=True)
    scores = {
        "cosine:iresnet": {"accuracy_mean": 0.9, "accuracy_std": 0.1, "auc": 0.95003, "auc_low": 0.9, "eer": 0.12},
        "raw_pixel": {"auc": 0.7},
    }
    write_headline(folder, {"lfw": scores, "val": {}})
    written = {str(path.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("*.json")}
    assert written == {
        "lfw/cosine/iresnet.json": {"acc": 0.9, "auc": 0.95, "eer": 0.12},
        "lfw/raw_pixel.json": {"auc": 0.7},
    }
    assert not (folder / "gone").exists()
    write_headline(folder, {})
    assert list(folder.iterdir()) == []
