"""A batch of photographs as a piece of a shard of aligned faces, and rows of the rejects table."""

import json
from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.data.faces.align_batch import AlignedFace, Row, align_batch, crashed_row
from pipeline_lib.data.shards.images import MEMBERS, Format, encode_image
from pipeline_lib.data.shards.units import Part
from pipeline_lib.data.shards.writer import PieceWriter
from pipeline_lib.params.align import Align
from pipeline_lib.schemas.rejects import REJECTS

SET = "aligned"


def align_part(
    rows: Sequence[Row], align: Align, weights: Path | None, root: Path, max_pixels: int, format: Format
) -> Part:
    """Align the photographs of some rows of the manifest, see align_batch.

    Returns:
        The faces, keys <image_id>, members png or jpg, and json with box, score and landmarks; a reject for every other row.
    """
    rejects: list[dict[str, object]] = []
    writer = PieceWriter()
    for outcome in align_batch(rows, align, weights, root, max_pixels):
        if not isinstance(outcome, AlignedFace):
            rejects.append(outcome)
            continue
        who = {name: getattr(outcome, name) for name in ("image_id", "identity", "split")}
        found = {"box": outcome.face.box.tolist(), "score": outcome.face.score, "landmarks": outcome.landmarks.tolist()}
        text = json.dumps(who | found, sort_keys=True).encode()
        members = {MEMBERS[format]: encode_image(outcome.image, format), "json": text}
        writer.write(outcome.image_id, members, **who, landmarks=outcome.landmarks, score=outcome.face.score)
    return Part({SET: writer.piece()}, table_from_rows(rejects, REJECTS))


def crashed_part(row: Row, how: str) -> Part:
    """What stands for a photograph that ends its process, see crashed_row."""
    return Part({}, table_from_rows([crashed_row(row, how)], REJECTS))
