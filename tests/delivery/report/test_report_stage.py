"""Stage report: the page is written, and no tracking server is needed for it."""

import base64
from pathlib import Path

import pytest
import yaml
from fake_rebuild import make_about, write_rebuild

from pipeline_lib.delivery.report.charts import SVG, charts_in
from pipeline_lib.tracking.send import send_all
from pipeline_lib.tracking.store import open_client
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


def test_the_page_s_charts_lie_beside_it(workplace: Path) -> None:
    params = make_about().params.model_dump(mode="json", by_alias=True)
    (workplace / "params.yaml").write_text(yaml.safe_dump(params))
    write_rebuild(workplace / "data")
    main(Path("data"), Path("data/report"))
    page = Path("data/report/index.html").read_text(encoding="utf-8")
    charts = {path.name: path.read_bytes() for path in Path("data/report/figures").iterdir()}
    assert len(charts) == page.count(SVG) > 3
    assert all(b"<svg" in chart[:1000] and chart.rstrip().endswith(b"</svg>") for chart in charts.values())
    send_all()
    client = open_client()
    (experiment,) = [item for item in client.search_experiments() if item.name == "face-verifier"]
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'report'")
    assert {Path(item.path).name for item in client.list_artifacts(run.info.run_id, "figures")} == set(charts)


def test_two_charts_of_one_name_are_two_files() -> None:
    data = {name: f"{SVG}{base64.b64encode(name.encode()).decode()}" for name in ("one", "two")}
    page = "".join(f'<figure><img src="{uri}" alt="ROC &amp; DET: LFW"></figure>' for uri in data.values())
    assert charts_in(page + '<img src="data:image/webp;base64,AAAA" alt="x">') == {
        "roc-det-lfw.svg": b"one",
        "roc-det-lfw-2.svg": b"two",
    }
