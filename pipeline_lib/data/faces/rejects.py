"""Inputs that did not come out of a stage: their rows, their counts by reason, and the checks on them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError


class FaceReject(DataError):
    """A photograph without the one usable face that was asked for.

    Args:
        reason: no_face, several_faces, too_small, not_in_box, bad_landmarks or not_aligned; the rejects table's word.
        detail: what was found, in words.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type["FaceReject"], tuple[str, str]]:
        """Pickle by the constructor's own arguments: Dask sends errors from its workers."""
        return type(self), (self.reason, self.detail)


def reject_row(image_id: str, uri: str, stage: str, reason: str, detail: str) -> dict[str, object]:
    """One row of pipeline_lib.schemas.schemas.rejects.REJECTS."""
    return {"image_id": image_id, "uri": uri, "stage": stage, "reason": reason, "detail": detail}


def count_reasons(rows: Sequence[Mapping[str, object]]) -> dict[str, int]:
    """How many rows there are for each reason, the most frequent first, ties by name."""
    counts = Counter(str(row["reason"]) for row in rows)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def check_rejects(
    num_inputs: int, num_outputs: int, rows: Sequence[Mapping[str, object]], max_share: float, where: Path
) -> None:
    """Check that every input is accounted for and that not too many were lost.

        num_inputs = num_outputs + len(rows)   and   len(rows) / num_inputs <= max_share

    Args:
        num_inputs, num_outputs: counts of photographs.
        rows: rows of the rejects table.
        max_share: in [0, 1]; the stage's `max_reject_share`.
        where: the rejects table, named in the error.

    Raises:
        DataError: an input was lost or came out twice, nothing came out, or the share is too high; counts by reason.
    """
    if num_inputs != num_outputs + len(rows):
        raise DataError(
            "Inputs were lost or came out twice.",
            got=f"{num_inputs} in, {num_outputs} out, {len(rows)} rejected",
            allowed="in = out + rejected",
            where=where,
        )
    share = len(rows) / num_inputs if num_inputs else 0.0
    if share > max_share or num_outputs == 0:
        counts = ", ".join(f"{reason} {count}" for reason, count in count_reasons(rows).items())
        raise DataError(
            "Too many photographs were rejected; the table says why for each of them.",
            got=f"{len(rows)} of {num_inputs} ({share:.1%}): {counts or 'there was no input'}",
            allowed=f"max_reject_share {max_share:.1%}, and at least one photograph that comes out",
            where=where,
        )
