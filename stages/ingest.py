"""Ingest: every source becomes one manifest, with its verification pairs and what could not be used."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import write_json
from pipeline_lib.core.memory import give_freed_memory_back
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.sources.shared.manifest import build_manifest
from pipeline_lib.data.sources.shared.probe import TooManyRejects
from pipeline_lib.data.sources.shared.read import read_sources
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import PARAMS_FILE, read_section, read_yaml
from pipeline_lib.schemas.attributes import ATTRIBUTES
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.rejects import REJECTS
from pipeline_lib.schemas.templates import TEMPLATES
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(out: Annotated[Path, typer.Option()], root: Annotated[Path | None, typer.Option()] = None) -> None:
    """Read the sources below ROOT (default: ingest.root); write the tables and the photographs made to OUT."""
    give_freed_memory_back()
    ingest = read_section("ingest", Ingest)
    root = root or Path(ingest.root)
    kinds = {source.kind for source in ingest.sources}
    sections = {name: section for name, section in read_yaml(PARAMS_FILE).items() if name in kinds}
    with stage_run("ingest", params={"ingest": ingest.model_dump(), **sections}, inputs={"root": root}) as run:
        rejects = out / "rejects.parquet"
        try:
            built = build_manifest(read_sources(ingest.sources, sections, root, out / "photos"), ingest)
        except TooManyRejects as error:
            write_table(rejects, error.rejects, REJECTS)
            raise DataError(f"{error}\n  each of them: {rejects}") from error
        write_table(out / "manifest.parquet", built.manifest, MANIFEST)
        write_table(out / "pairs.parquet", built.pairs, PAIRS)
        write_table(out / "templates.parquet", built.templates, TEMPLATES)
        write_table(out / "attributes.parquet", built.attributes, ATTRIBUTES)
        write_table(rejects, built.rejects, REJECTS)
        write_json(out / "counts.json", built.counts)
        run.log_metrics({name: float(value) for name, value in built.counts.items()})


if __name__ == "__main__":
    run_stage(main)
