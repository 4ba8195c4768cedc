"""Folders that are splits, whatever a collection calls them."""

from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.schemas.manifest import SPLITS

CALLED = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def splits_of_folders(names: Sequence[str], where: Path) -> list[str] | None:
    """The split of each folder, if all are called as splits are (CALLED, in upper or lower case); None if people.

    One such name among others is a person's (Val, Dev).

    Raises:
        DataError: two or more such names among others, or two for one split.
    """
    splits = [CALLED.get(name.lower()) for name in names]
    known = [split for split in splits if split is not None]
    if len(known) < len(names):
        if len(known) > 1:
            raise DataError(
                "Some folders are called as splits are, others are not: neither splits nor people.",
                got=", ".join(name for name, split in zip(names, splits, strict=True) if split is None)
                + " beside "
                + ", ".join(name for name, split in zip(names, splits, strict=True) if split is not None),
                allowed=f"{', '.join(SPLITS)} alone, each holding <identity>/<photograph>, or no such names",
                where=where,
            )
        return None
    if len(set(known)) < len(known):
        raise DataError("Two folders are one split; join them.", got=", ".join(names), allowed=SPLITS, where=where)
    return known
