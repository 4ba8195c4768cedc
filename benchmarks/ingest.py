"""Ingest of a RecordIO collection: time beside a copy of the same bytes, on one core, and peak memory by size.

    python -m benchmarks.ingest            20,000 faces five times; memory at 1,000 and 100,000
    python -m benchmarks.ingest --quick    500 faces once; memory at 500 and 1,000

Faces are rendered, 112 px, JPEG of quality 95, some 6 kB, 20 of a person, each with bytes of its own. `copy` takes every record
by the index, as a Python loop over it does, and writes it and its line of an index to new files; `blocks` copies the file by MiB.
Ingest lists the records, reads each photograph's header and SHA-256, and writes the manifest. The three take turns; seconds are
the processor's. Memory is the largest resident size of a process that imports what the stage does and ingests once.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.common import on_cores, paired_ratio, report, spread
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.photos.recordio import LENGTH_BITS, PART, pack
from pipeline_lib.data.sources.shared.manifest import build_manifest
from pipeline_lib.data.sources.shared.read import read_sources
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.schemas.manifest import MANIFEST

NUM_PICTURES, EACH, SIDE_PX = 8, 20, 112
CHILD = """
import sys
import stages.ingest
from pipeline_lib.core.memory import give_freed_memory_back
give_freed_memory_back()
from pathlib import Path
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.sources.shared.manifest import build_manifest
from pipeline_lib.data.sources.shared.read import read_sources
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.schemas.manifest import MANIFEST
folder, ingest = Path(sys.argv[1]), Ingest.model_validate_json(sys.argv[2])
built = build_manifest(read_sources(ingest.sources, {}, folder, folder / "p"), ingest)
write_table(folder / "m.parquet", built.manifest, MANIFEST)
print(next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def face(number: int) -> bytes:
    """A rendered face as a JPEG."""
    rng = np.random.default_rng(number)
    photo, _ = render_photo([sample_identity(rng)], rng, 2 * SIDE_PX)
    small = cv2.resize(cv2.cvtColor(photo, cv2.COLOR_RGB2BGR), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return bytes(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])


def write_collection(folder: Path, num: int, pictures: list[bytes]) -> None:
    """The layout by identity."""
    folder.mkdir()
    people = num // EACH
    with (folder / "a.rec").open("wb") as record, (folder / "a.idx").open("w") as index:

        def put(key: int, labels: tuple[float, ...], content: bytes) -> None:
            index.write(f"{key}\t{record.tell()}\n")
            record.write(pack(labels, key, content))

        put(0, (float(1 + num), float(1 + num + people)), b"")
        for i in range(num):
            put(1 + i, (float(i // EACH),), pictures[i % len(pictures)] + i.to_bytes(8, "big"))
        for who in range(people):
            put(1 + num + who, (float(1 + who * EACH), float(1 + (who + 1) * EACH)), b"")


def settings(root: Path, name: str) -> Ingest:
    """Parameters that take all of a collection."""
    return Ingest.model_validate(
        {
            "root": str(root), "sources": [{"kind": "recordio", "path": name, "split": "by_identity"}], "val_share": 0.05,
            "test_share": 0.05, "pairs_per_fold": 20, "num_folds": 10, "max_identities": None, "max_folds": None,
            "max_pixels": 50_000_000, "max_reject_share": 0.0, "seed": 1,
        }
    )  # fmt: skip


def copy_records(folder: Path) -> None:
    """By the index, record by record."""
    with (
        (folder / "a.rec").open("rb") as old,
        (folder / "copy/b.rec").open("wb") as new,
        (folder / "a.idx").open() as index,
        (folder / "copy/b.idx").open("w") as lines,
    ):
        for line in index:
            key, offset = map(int, line.split())
            old.seek(offset)
            head = old.read(PART.size)
            length = PART.unpack(head)[1] & ((1 << LENGTH_BITS) - 1)
            lines.write(f"{key}\t{new.tell()}\n")
            new.write(head + old.read(length + -length % 4))


def copy_blocks(folder: Path) -> None:
    """A MiB at a time."""
    with (folder / "a.rec").open("rb") as old, (folder / "copy/b.rec").open("wb") as new:
        while block := old.read(1 << 20):
            new.write(block)


def ingest_all(folder: Path) -> None:
    """To a manifest on the disk."""
    ingest = settings(folder.parent, folder.name)
    built = build_manifest(read_sources(ingest.sources, {}, folder.parent, folder / "photos"), ingest)
    write_table(folder / "manifest.parquet", built.manifest, MANIFEST)


def peak_mib(root: Path, name: str) -> float:
    """Of a process that ingests."""
    command = [sys.executable, "-c", CHILD, str(root), settings(root, name).model_dump_json()]
    environment = {**os.environ, "ARROW_DEFAULT_MEMORY_POOL": "system"}  # as in dvc.yaml
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Ingest of RecordIO.")
    parser.add_argument("--num", type=int, default=20_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    num, turns, sizes = (500, 1, (500, 1000)) if args.quick else (args.num, args.turns, (1000, 100_000))
    pictures = [face(number) for number in range(NUM_PICTURES)]
    ways: dict[str, Callable[[Path], None]] = {"copy": copy_records, "blocks": copy_blocks, "ingest": ingest_all}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_collection(root / "timed", num, pictures)
        (root / "timed/copy").mkdir()
        with on_cores(1):
            for turn in range(turns + 1):  # the first warms up
                for name, way in ways.items():
                    started = time.process_time()
                    way(root / "timed")
                    if turn:
                        taken[name].append(time.process_time() - started)
        peaks = {}
        for size in sizes:
            write_collection(root / str(size), size, pictures)
            peaks[str(size)] = round(peak_mib(root, str(size)), 1)
    each = {name: spread([1e6 * seconds / num for seconds in taken[name]], 2)["median"] for name in ways}
    rows: list[dict[str, object]] = [{"way": name, "us/record": figure} for name, figure in each.items()]
    speed = {name: paired_ratio(taken[name], taken["ingest"]) for name in ("copy", "blocks")}
    growth = peaks[str(sizes[1])] / peaks[str(sizes[0])]
    report("ingest", vars(args), rows, speed_of_ingest=speed, peak_mib=peaks, peak_growth=round(growth, 3))


if __name__ == "__main__":
    main()
