"""Stage occlude: masks, sunglasses and crops, for training and as queries; profiles as queries."""

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.occlusion.contact_sheet import draw_sheet
from pipeline_lib.data.occlusion.occluded_set import write_occluded_set
from pipeline_lib.data.occlusion.template import load_templates
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.params.load import read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.occlude import Occlude
from pipeline_lib.params.shards import Shards
from pipeline_lib.schemas.manifest import MANIFEST, PROFILE
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    manifest: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Occlude a share of the training images, and test images in every kind."""
    occlude, shards, machine = read_section("occlude", Occlude), read_section("shards", Shards), load_machine()
    inputs = {"manifest": manifest, "aligned_shards": aligned / "shards", "aligned_index": aligned / "index.parquet"}
    with stage_run(
        "occlude", params={"occlude": occlude.model_dump(), "shards": shards.model_dump()}, inputs=inputs
    ) as run:
        profiles = profiles_of_test(manifest) if occlude.profile_queries else frozenset()
        templates = load_templates(Path(occlude.templates), occlude.kinds)
        write_occluded_set(aligned, out, occlude, shards, machine.worker_pool, profiles, templates)
        with atomic_file(out / "contact_sheet.png") as path:
            path.write_bytes(encode_png(draw_sheet(aligned, occlude, profiles, templates)))
        purposes = Texts(read_table(out / "occlusions.parquet", OCCLUSIONS)["purpose"])
        run.log_metrics({f"num_{purpose}": purposes.is_in([purpose]).sum() for purpose in ("train", "query")})


def profiles_of_test(manifest: Path) -> frozenset[str]:
    """The image ids of the test photographs that show a profile.

    Raises:
        DataError: there is none.
    """
    table = read_table(manifest, MANIFEST)
    shown = table.filter(pc.and_(pc.equal(table["split"], "test"), pc.equal(table["view"], PROFILE)))
    if not shown.num_rows:
        raise DataError(
            "No test photograph is a profile.",
            allowed="a source that states views (CFP), or occlude.profile_queries: false",
            where=manifest,
        )
    return frozenset(shown["image_id"].to_pylist())


if __name__ == "__main__":
    run_stage(main)
