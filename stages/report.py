"""Report: one self-contained page with what the rebuild measured, showed, rejected and was made from."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.delivery.report.inputs import Sections, gallery_images, read_rebuild
from pipeline_lib.delivery.report.network_table import describe_network
from pipeline_lib.delivery.report.page import Provenance, build_page
from pipeline_lib.params.load import load_params
from pipeline_lib.tracking.rebuilds import latest_runs, provenance_groups
from pipeline_lib.tracking.stage_run import PARAMS_FILE, stage_run
from stages.common import run_stage


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Read every stage's outputs below DATA and write OUT/index.html."""
    params = load_params()
    sections = Sections(
        networks={name: describe_network(network, params.train.head) for name, network in params.networks.items()},
        region_trainings=[*params.regions.positions, *params.regions.groups],
        positions=params.regions.all_positions,
        explained=params.explain.networks,
        reranked=params.rerank.network,
        registered=params.register_.network,
    )
    inputs = {stage: data / stage for stage in ("ingest", "align", "verify", "rerank", "explain", "register")}
    with stage_run("report", params={"report": params.report.model_dump()}, inputs=inputs) as run:
        page = build_page(
            read_rebuild(data, sections),
            Provenance(provenance_groups(run), latest_runs(run), PARAMS_FILE.read_text()),
            read_query=gallery_images(data / "occlude"),
            read_gallery=gallery_images(data / "align"),
            num_example_pairs=params.report.num_example_pairs,
        )
        with atomic_dir(out) as folder:
            (folder / "index.html").write_text(page, encoding="utf-8")
        run.log_artifact(out / "index.html")
        run.log_metrics({"page_bytes": len(page.encode())})


if __name__ == "__main__":
    run_stage(main)
