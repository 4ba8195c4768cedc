"""Ingest: every source becomes one manifest, with its verification pairs and what could not be used."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.tables import write_table
from pipeline_lib.data.sources.manifest import build_manifest
from pipeline_lib.data.sources.read import read_sources
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(root: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Read the sources below ROOT; write manifest, pairs and rejects tables and the rendered photographs to OUT."""
    params = load_params()
    logged = {"ingest": params.ingest.model_dump(), "synthetic": params.synthetic.model_dump()}
    with stage_run("ingest", params=logged, inputs={"root": root}) as run:
        sources = read_sources(params.ingest.sources, params.synthetic, root, out / "photos")
        built = build_manifest(sources, params.ingest)
        write_table(out / "manifest.parquet", built.manifest, MANIFEST)
        write_table(out / "pairs.parquet", built.pairs, PAIRS)
        write_table(out / "rejects.parquet", built.rejects, REJECTS)
        run.log_metrics({name: float(value) for name, value in built.counts.items()})


if __name__ == "__main__":
    run_stage(main)
