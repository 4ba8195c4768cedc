"""Pairs of aligned faces as a verification set of InsightFace's: a pickle of pictures and answers (METHODS, section 1)."""

import pickle
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import output_file
from pipeline_lib.data.exports.shared.faces import ExportedFaces


def write(faces: ExportedFaces, out: Path) -> None:
    """(pictures, answers): bytes 2i and 2i + 1 are pair i, and answer i whether it shows one person.

    Raises:
        DataError: there are no pairs, or see output_file.
    """
    if not faces.pairs.num_rows:
        raise DataError("There is no pair to export.", allowed="pairs and a protocol that has some", where="--protocol")
    row_of = {image_id: row for row, image_id in enumerate(faces.image_ids)}
    sides = zip(faces.pairs["image_a"].to_pylist(), faces.pairs["image_b"].to_pylist(), strict=True)
    pictures = [faces.reader.read(row_of[image]) for pair in sides for image in pair]
    with output_file(out) as partial:
        partial.write_bytes(pickle.dumps((pictures, faces.pairs["genuine"].to_pylist()), protocol=4))
