"""Report: one self-contained page with what the rebuild measured, showed, rejected and was made from."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.delivery.report.chapter import About, Provenance
from pipeline_lib.delivery.report.charts import charts_in
from pipeline_lib.delivery.report.page import build_report
from pipeline_lib.params.load import PARAMS_FILE
from pipeline_lib.params.whole import load_params
from pipeline_lib.tracking.rebuilds import latest_runs, provenance_groups
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage

FIGURES = "figures"  # folder beside the page, and of the run's artifacts


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Read every stage's outputs below DATA and write OUT/index.html, and beside it the data card and the page's charts."""
    params = load_params()
    inputs = {stage: data / stage for stage in ("ingest", "align", "verify", "rerank", "explain", "claims", "register")}
    with stage_run("report", params={"report": params.report.model_dump()}, inputs=inputs) as run:
        provenance = Provenance(provenance_groups(run), latest_runs(run))
        page, beside = build_report(data, About(params, PARAMS_FILE.read_text(encoding="utf-8"), provenance))
        with atomic_dir(out) as folder:
            for name, text in {"index.html": page, **beside}.items():
                (folder / name).write_text(text, encoding="utf-8")
            (folder / FIGURES).mkdir()
            for name, chart in charts_in(page).items():
                (folder / FIGURES / name).write_bytes(chart)
        run.log_artifact(out / "index.html")
        for path in sorted((out / FIGURES).iterdir()):
            run.log_artifact(path, FIGURES)
        run.log_metrics({"page_bytes": len(page.encode())})


if __name__ == "__main__":
    run_stage(main)
