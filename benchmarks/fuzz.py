"""Damaged and hostile collections, minutes of them: each is read, probed and decoded, or ends in an error of ours.

    python -m benchmarks.fuzz                   5 minutes
    python -m benchmarks.fuzz --minutes 60 --seed 7
    python -m benchmarks.fuzz --quick           200 collections

A collection is made whole, as RecordIO, tar, Parquet table, verification set or folder, then bytes are flipped, cut out, doubled
or overwritten by large numbers. It must not take longer than LIMIT_S or more memory than LIMIT_BYTES; anything but a DataError is
a finding, which ends the run and names the seed that makes it again: --seed N --quick.
"""

import argparse
import io
import pickle
import resource
import signal
import struct
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.photo import PhotoError, decode_photo
from pipeline_lib.data.photos.place import look_at_all, read_photo
from pipeline_lib.data.photos.recordio import MAGIC, pack
from pipeline_lib.data.sources import image_folder, parquet, recordio, verification_bin, webdataset
from pipeline_lib.data.sources.shared.records import SourceFaces

MAX_PIXELS, SIDE_PX = 100_000, 24
LIMIT_S, LIMIT_BYTES = 20, 4 << 30
LARGE = (0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
Rng = np.random.Generator


def picture(rng: Rng) -> bytes:
    """A small photograph's file in one of the formats."""
    pixels = rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)
    handle = io.BytesIO()
    Image.fromarray(pixels).save(handle, str(rng.choice(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"])))
    return handle.getvalue()


def damaged(data: bytes, rng: Rng) -> bytes:
    """The bytes with a few of them changed."""
    made = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(made) + 1))
        kind = int(rng.integers(6))
        if kind == 0 and at < len(made):
            made[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del made[at:]
        elif kind == 2:
            del made[at : at + int(rng.integers(1, 40))]
        elif kind == 3:
            made[at:at] = made[at : at + int(rng.integers(1, 200))]
        elif kind == 4:
            number = LARGE[int(rng.integers(len(LARGE)))]
            size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
            made[at : at + size] = number.to_bytes(size, str(rng.choice(["little", "big"])))
        else:
            made[at : at + 4] = MAGIC if rng.random() < 0.5 else bytes(4)
    return bytes(made)


def as_recordio(folder: Path, rng: Rng) -> SourceFaces:
    """By identity or flat; the records, the index or both are damaged."""
    num, people = 6, 2
    records = [pack((float(key // 3),), key, picture(rng)) for key in range(num)]
    if rng.random() < 0.5:
        announced = [pack((float(1 + 3 * who), float(4 + 3 * who)), 1 + num + who, b"") for who in range(people)]
        records = [pack((float(1 + num), float(1 + num + people)), 0, b""), *records, *announced]
    offsets = np.cumsum([0, *map(len, records)]).tolist()
    data, index = b"".join(records), "".join(f"{key}\t{offsets[key]}\n" for key in range(len(records))).encode()
    which = rng.random()
    (folder / "a.rec").write_bytes(damaged(data, rng) if which < 0.7 else data)
    (folder / "a.idx").write_bytes(damaged(index, rng) if which > 0.5 else index)
    return recordio.read(folder)


def as_tar(folder: Path, rng: Rng) -> SourceFaces:
    """Members with names that lead elsewhere, links, long names and pax heads among them."""
    names = ["a", "../../up", "/etc/abs", "b/c", "x" * 90, "é", "a"]
    with tarfile.open(folder / "a.tar", "w", format=int(rng.integers(3))) as tar:
        for number in range(5):
            name = names[int(rng.integers(len(names)))] + str(number % 4)
            members = {"jpg": picture(rng), "cls": b"7"} if rng.random() < 0.9 else {"json": b'{"identity": 3}'}
            for kind, content in members.items():
                info = tarfile.TarInfo(f"{name}.{kind}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            if rng.random() < 0.2:
                link = tarfile.TarInfo(f"{name}.png")
                link.type, link.linkname = (tarfile.SYMTYPE, tarfile.LNKTYPE)[number % 2], "/etc/passwd"
                tar.addfile(link)
    data = (folder / "a.tar").read_bytes()
    if rng.random() < 0.5:  # a head that says another size, with a checksum that fits
        head = bytearray(data[:512])
        head[124:136] = struct.pack(">Bxxx8s", 0x80 if rng.random() < 0.5 else 0xFF, rng.bytes(8))
        head[148:156] = b" " * 8
        head[148:156] = f"{sum(head):06o}\0 ".encode()
        data = bytes(head) + data[512:]
    (folder / "a.tar").write_bytes(data if rng.random() < 0.2 else damaged(data, rng))
    return webdataset.read(folder)


def as_parquet(folder: Path, rng: Rng) -> SourceFaces:
    """A column of bytes, or of bytes in a field."""
    pictures = [picture(rng) for _ in range(4)]
    columns = {
        "image": pictures if rng.random() < 0.5 else [{"bytes": each} for each in pictures],
        "label": [1, 1, 2, 2],
    }
    pq.write_table(pa.table(columns), folder / "a.parquet", compression=str(rng.choice(["none", "zstd", "snappy"])))
    (folder / "a.parquet").write_bytes(damaged((folder / "a.parquet").read_bytes(), rng))
    return parquet.unpack(folder, folder / "out", write=True)


def as_verification_set(folder: Path, rng: Rng) -> SourceFaces:
    """Bytes or pixels, in every protocol of pickle."""
    pictures = [picture(rng) if rng.random() < 0.7 else rng.integers(0, 256, (8, 8, 3), np.uint8) for _ in range(4)]
    data = pickle.dumps((pictures, [True, False]), protocol=int(rng.integers(6)))
    (folder / "a.bin").write_bytes(damaged(data, rng))
    return verification_bin.unpack(folder, folder / "out", write=True)


def as_folder(folder: Path, rng: Rng) -> SourceFaces:
    """Photographs that are damaged themselves."""
    for number in range(4):
        path = folder / f"p{number // 2}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged(picture(rng), rng))
    return image_folder.read(folder)


KINDS: tuple[Callable[[Path, Rng], SourceFaces], ...] = (
    as_recordio,
    as_tar,
    as_parquet,
    as_verification_set,
    as_folder,
)


def try_one(seed: int, folder: Path) -> str:
    """Make a collection from a seed, read it and decode its photographs; says how that ended. Raises what is a finding."""
    rng = np.random.default_rng(seed)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    name = kind.__name__.removeprefix("as_")
    try:
        faces = kind(folder, rng)
    except DataError:
        return f"{name}: refused"
    places = [photo.place for photo in faces.photos]
    rejected = sum(isinstance(one, PhotoError) for one in look_at_all(places, MAX_PIXELS))
    for place in places:
        try:
            decode_photo(read_photo(place, MAX_PIXELS), MAX_PIXELS)
        except PhotoError:
            rejected += 1
    return f"{name}: rejects" if rejected else f"{name}: whole"


def main() -> None:
    """Try collections until the time is over; print what came of them."""
    parser = argparse.ArgumentParser(description="Hostile collections.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="200 collections")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, LIMIT_BYTES))
    outcomes, slowest = Counter[str](), 0.0
    until, seed = time.monotonic() + 60 * args.minutes, args.seed
    while seed < args.seed + 200 if args.quick else time.monotonic() < until:
        signal.alarm(LIMIT_S)  # ends the process, with the seed on the last line
        print(f"\r{seed}", end="", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcomes[try_one(seed, Path(folder))] += 1
            except BaseException:
                print(f"\nfinding: --seed {seed}", flush=True)
                raise
        slowest = max(slowest, time.monotonic() - started)
        seed += 1
    signal.alarm(0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"\r{seed - args.seed} collections, no finding, the slowest {slowest:.2f} s, peak {peak} MiB")
    for outcome, count in sorted(outcomes.items()):
        print(f"  {outcome:32} {count}")


if __name__ == "__main__":
    main()
