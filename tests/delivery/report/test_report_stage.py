"""Stage report: the page is written, and no tracking server is needed for it."""

from pathlib import Path

import pytest
import yaml
from fake_rebuild import make_about, write_rebuild

from stages.report import main


def test_report_is_written_where_mlflow_cannot_be_reached(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = make_about().params.model_dump(mode="json", by_alias=True)
    (workplace / "params.yaml").write_text(yaml.safe_dump(params))
    write_rebuild(workplace / "data")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")  # nobody listens on port 1
    main(Path("data"), Path("data/report"))
    page = Path("data/report/index.html").read_text(encoding="utf-8")
    assert "git commit" in page
    assert "num_example_pairs: 3" in page  # params.yaml as it stands
