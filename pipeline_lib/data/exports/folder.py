"""Aligned faces as a folder of pictures, one folder an identity."""

from pathlib import Path

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.data.exports.shared.faces import ExportedFaces
from pipeline_lib.data.shards.images import member_of


def write(faces: ExportedFaces, out: Path) -> None:
    """`out`/<identity>/<image id>.png, or .jpg where the shards hold JPEGs; the folder appears whole or not at all."""
    with atomic_dir(out) as partial:
        for row, (image_id, identity) in enumerate(zip(faces.image_ids, faces.identities, strict=True)):
            folder = partial / identity
            folder.mkdir(exist_ok=True)
            data = faces.reader.read(row)
            (folder / f"{image_id}.{member_of(data)}").write_bytes(data)
