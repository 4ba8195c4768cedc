"""What photographs and pairs are grouped by."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.matching.scores.shared.pairs import PairSet, faces_of
from pipeline_lib.schemas.attributes import ATTRIBUTES
from pipeline_lib.schemas.manifest import MANIFEST

OF_PAIRS = "group"  # the attribute that pairs have themselves
ACROSS_CODE, UNKNOWN_CODE = -1, -2


class Membership(NamedTuple):
    """An attribute of N pairs: the names of its groups, sorted, and int64 (N,): each pair's group, ACROSS_CODE, UNKNOWN_CODE."""

    names: Sequence[str]
    codes: npt.NDArray[np.int64]


def read_attributes(names: Sequence[str], manifest: Path, attributes: Path) -> dict[str, dict[str, str]]:
    """What verify.groups names: OF_PAIRS, columns of the manifest, or a user's attributes -> image id -> value.

    Raises:
        DataError: a table is missing or breaks its contract, or a name is nowhere; says which there are.
    """
    if not names:
        return {}
    photos, said = read_table(manifest, MANIFEST), read_table(attributes, ATTRIBUTES)
    columns = [field.name for field in MANIFEST if not pa.types.is_fixed_size_list(field.type)]
    own: dict[str, dict[str, str]] = {}
    for image_id, name, value in zip(*(said[column].to_pylist() for column in ATTRIBUTES.names), strict=True):
        own.setdefault(name, {})[image_id] = value
    if unknown := [name for name in names if name not in {OF_PAIRS, *columns, *own}]:
        allowed = ", ".join([OF_PAIRS, *columns[1:], *own])
        raise DataError("There is no such attribute.", got=", ".join(unknown), allowed=allowed, where="verify.groups")
    ids = photos["image_id"].to_pylist()
    found = {}
    for name in names:
        values = photos[name].to_pylist() if name in columns else ()
        of_column = {key: str(value) for key, value in zip(ids, values, strict=False) if value is not None}
        found[name] = of_column or own.get(name, {})
    return found


def of_pairs(table: pa.Table) -> Membership:
    """The groups that a table of pairs states itself."""
    return _coded([(value, value) for value in table[OF_PAIRS].to_pylist()])


def of_faces(pairs: PairSet, table: pa.Table, values: Mapping[str, str]) -> Membership:
    """The groups of a table's pairs, from what is known of their images; a template is in that of all of its images.

    Args:
        pairs: whose table it is.
        table: N rows.
        values: image id -> value.
    """
    value_of: dict[str, str | None] = {}
    for face in faces_of(table):
        found = {values.get(image) for image in pairs.parts(face)}
        value_of[face] = found.pop() if len(found) == 1 else None
    sides = (table[side].to_pylist() for side in ("image_a", "image_b"))
    return _coded([(value_of[a], value_of[b]) for a, b in zip(*sides, strict=True)])


def _coded(both: Sequence[tuple[str | None, str | None]]) -> Membership:
    names = sorted({value for pair in both for value in pair if value is not None})
    code_of = {name: code for code, name in enumerate(names)}
    codes = [UNKNOWN_CODE if a is None or b is None else code_of[a] if a == b else ACROSS_CODE for a, b in both]
    return Membership(names, np.array(codes, np.int64))
