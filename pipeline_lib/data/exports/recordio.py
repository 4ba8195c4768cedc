"""Aligned faces as an InsightFace training set: train.rec, train.idx and property (METHODS, section 1)."""

from itertools import groupby
from pathlib import Path

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.exports.shared.faces import ExportedFaces
from pipeline_lib.data.photos.recordio import pack


def write(faces: ExportedFaces, out: Path) -> None:
    """The layout by identity; identity number n is the n-th name, and identities.txt says which that is.

    Keys 1, 2, ... are the faces, then come the identities' records; record 0 says where these begin and end. The folder appears
    whole or not at all.
    """
    groups = [(name, list(rows)) for name, rows in groupby(range(len(faces.image_ids)), faces.identities.__getitem__)]
    num_faces = len(faces.image_ids)
    with atomic_dir(out) as partial:
        with (partial / "train.rec").open("wb") as record, (partial / "train.idx").open("w") as index:

            def put(key: int, labels: tuple[float, ...], content: bytes) -> None:
                index.write(f"{key}\t{record.tell()}\n")
                record.write(pack(labels, key, content))

            put(0, (float(1 + num_faces), float(1 + num_faces + len(groups))), b"")
            for number, (_, rows) in enumerate(groups):
                for row in rows:
                    put(1 + row, (float(number),), faces.reader.read(row))
            for number, (_, rows) in enumerate(groups):
                put(1 + num_faces + number, (float(1 + rows[0]), float(2 + rows[-1])), b"")
        (partial / "property").write_text(f"{len(groups)},{FACE_PX},{FACE_PX}\n")
        (partial / "identities.txt").write_text("".join(f"{name}\n" for name, _ in groups))
