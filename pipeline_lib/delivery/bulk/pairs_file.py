"""The table of pairs that a bulk comparison reads: a CSV file with columns a, b and, if wanted, id."""

import csv
from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError

NEEDED, OPTIONAL = ("a", "b"), ("id",)


@dataclass(frozen=True)
class PairRow:
    """One row: what it is called (its number, from 1, without a column id), the two paths as they stand there, and in full."""

    id: str
    a: str
    b: str
    path_a: Path
    path_b: Path


def read_pairs_file(path: Path) -> list[PairRow]:
    """Read the rows in their order; relative paths start from the file's folder. No photograph is opened.

    Raises:
        DataError: the file is missing, no UTF-8 text, has other columns, a row without a path or with more fields than columns,
            or an id twice; names the line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle)
            columns = list(reader.fieldnames or [])
            if sorted(columns) != sorted({*columns}) or not {*NEEDED} <= {*columns} <= {*NEEDED, *OPTIONAL}:
                raise DataError(
                    "A table of pairs has other columns.", got=columns, allowed="a, b and, if wanted, id", where=path
                )
            rows = [
                _row(fields, number, f"{path}:{reader.line_num}", path.parent)
                for number, fields in enumerate(reader, 1)
            ]
    except OSError as error:
        raise DataError("A table of pairs cannot be read.", got=error.strerror or error, where=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("A table of pairs is no CSV file in UTF-8.", got=error, where=path) from error
    if not rows:
        raise DataError("A table of pairs has no row.", where=path)
    seen: set[str] = set()
    for row in rows:
        if row.id in seen:
            raise DataError("A table of pairs has an id twice.", got=row.id, where=path)
        seen.add(row.id)
    return rows


def _row(fields: dict[str | None, object], number: int, where: str, folder: Path) -> PairRow:
    a, b, name = fields.get("a"), fields.get("b"), fields.get("id", str(number))
    texts = [value.strip() for value in (a, b, name) if isinstance(value, str)]
    if None in fields or len(texts) != 3 or not all(texts) or any("\0" in text for text in texts):
        got = [value for value in fields.values() if value]
        raise DataError("A row of a table of pairs lacks a path, or has too many fields.", got=got, where=where)
    return PairRow(texts[2], texts[0], texts[1], folder / texts[0], folder / texts[1])
