"""Shards by workers: all patch positions of a size in one pass against a pass for each, and align with two workers against one.

    python -m benchmarks.shard_writing            28 positions of 28 px from 300 drawn faces; 200 rendered photographs aligned
    python -m benchmarks.shard_writing --quick    2 positions, 20 faces and 8 photographs, one turn

Both of a pair take their turns one after the other, so a machine that others use meets both alike; the ratio of align wants two
cores of its own. Starting processes and joining indices are in the times, as they are in a stage's.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.common import on_cores, paired_ratio, report, seconds, spread, write_faces
from pipeline_lib.core.parallel import Workers
from pipeline_lib.data.faces.aligned_set import CANDIDATES_TABLE, REJECTS_TABLE, SET, align_part, crashed_part
from pipeline_lib.data.patches.grid import unique_regions
from pipeline_lib.data.patches.patch_set import write_patch_sets
from pipeline_lib.data.shards.images import encode_image
from pipeline_lib.data.shards.units import Job, run_units, units_of
from pipeline_lib.data.shards.work import Work
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.params.align import Align
from pipeline_lib.params.shards import Shards

MARGIN_PX, MAX_PIXELS, PHOTOS_A_UNIT, PHOTOS_A_BATCH = 5, 1_000_000, 25, 8
ALIGN = Align(detector="dlib", min_score=0.0, min_face_px=40, several_faces="largest", max_reject_share=1.0)


def write_photos(folder: Path, num: int) -> pa.Table:
    """Rendered photographs of 250 px, and their rows of the manifest."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(num):
        path = folder / f"{number}.png"
        path.write_bytes(encode_image(render_photo([sample_identity(rng)], rng, 250)[0], "png"))
        rows.append({"image_id": f"photo{number}", "identity": "a", "split": "train", "uri": path.name})
    return pa.Table.from_pylist(rows)


def align(photos: pa.Table, root: Path, num_workers: int) -> None:
    """What stage align does with workers."""
    with tempfile.TemporaryDirectory() as name:
        function = partial(
            align_part, align=ALIGN, weights=None, root=root.absolute(), max_pixels=MAX_PIXELS, format="png"
        )
        work = Work(Path(name), "aligned", (SET,), (REJECTS_TABLE, CANDIDATES_TABLE))
        job = Job(work, function, PHOTOS_A_BATCH, crashed_part)
        units = units_of(photos, range(0, len(photos), PHOTOS_A_UNIT))
        run_units(job, units, Workers(num_workers), "align, photographs")


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Shards that workers write.")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="little of each, one turn")
    args = parser.parse_args()
    regions = unique_regions(28)[: 2 if args.quick else None]
    num_faces, num_photos = (20, 8) if args.quick else (300, 200)
    taken: dict[str, list[float]] = {name: [] for name in ("one pass", "a pass each", "1 worker", "2 workers")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_faces(folder / "align", num_faces, 10)
        photos = write_photos(folder, num_photos)
        cut = partial(write_patch_sets, folder / "align", margin_px=MARGIN_PX, shards=Shards(), workers=Workers(0))

        def apart() -> None:
            for region in regions:
                cut(folder / region.name, regions=[region])

        for _ in range(1 if args.quick else args.turns):
            with on_cores(1):
                taken["one pass"].append(seconds(lambda: cut(folder / "patches", regions=regions)))
                taken["a pass each"].append(seconds(apart))
            for num in (1, 2):
                taken[f"{num} worker{'s' * (num > 1)}"].append(seconds(lambda: align(photos, folder, num)))  # noqa: B023
    rows: list[dict[str, object]] = [{"what": what, **spread(values)} for what, values in taken.items()]
    config = {"regions": len(regions), "faces": num_faces, "photographs": num_photos}
    ratios = {
        "a pass each / one pass": paired_ratio(taken["a pass each"], taken["one pass"]),
        "1 worker / 2 workers": paired_ratio(taken["1 worker"], taken["2 workers"]),
    }
    report("shard_writing", config, rows, ratios=ratios)


if __name__ == "__main__":
    main()
