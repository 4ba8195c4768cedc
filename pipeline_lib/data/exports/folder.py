"""Aligned faces as a folder of PNGs, one folder an identity."""

from pathlib import Path

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.exports.shared.faces import ExportedFaces


def write(faces: ExportedFaces, out: Path) -> None:
    """`out`/<identity>/<image id>.png; the folder appears whole or not at all."""
    with atomic_dir(out) as partial:
        for row, (image_id, identity) in enumerate(zip(faces.image_ids, faces.identities, strict=True)):
            folder = partial / identity
            folder.mkdir(exist_ok=True)
            (folder / f"{image_id}.png").write_bytes(faces.reader.read(row))
