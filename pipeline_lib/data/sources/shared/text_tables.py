"""Tables that strangers write as text: CSV files with a header, and lines of fields; every complaint names the line."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError


def read_csv_rows(path: Path, required: Sequence[str]) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """The columns of a CSV file with a header, and its rows as (place, {column: text without spaces around}).

    Args:
        path: UTF-8, with or without a byte order mark; commas. `place` is "<path>:<line>", for messages.
        required: columns that must be there.

    Raises:
        DataError: no such file, no UTF-8, a column is missing or named twice; while the rows are read: a row has more or
            fewer fields than the header.
    """
    lines = list(csv.reader(read_text(path).splitlines()))
    columns = [name.strip() for name in lines[0]] if lines else []
    if any(name not in columns for name in required) or len(set(columns)) < len(columns):
        raise DataError(
            "A CSV file's first line does not name its columns, each once.",
            got=", ".join(columns) or "an empty file",
            allowed=", ".join(required) + ", and others",
            where=f"{path}:1",
        )

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        for number, fields in enumerate(lines[1:], start=2):
            if not any(field.strip() for field in fields):
                continue
            if len(fields) != len(columns):
                raise DataError(
                    "A row of a CSV file has another number of fields than its header.",
                    got=",".join(fields),
                    allowed=",".join(columns),
                    where=f"{path}:{number}",
                )
            yield f"{path}:{number}", dict(zip(columns, (field.strip() for field in fields), strict=True))

    return columns, rows()


def read_fields(path: Path, num: int, separator: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """The lines of a text file as (place, `num` fields); empty lines are left out.

    Args:
        separator: null for any white space; spaces around a field go.

    Raises:
        DataError: no such file, no UTF-8; while the lines are read: one has another number of fields.
    """
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = [field.strip() for field in line.split(separator)] if line.strip() else []
        if len(fields) == num:
            yield f"{path}:{number}", fields
        elif fields:
            raise DataError(
                "A line has another number of fields.", got=line, allowed=f"{num} fields", where=f"{path}:{number}"
            )


def one_of(text: str, values: Mapping[str, bool], place: str) -> bool:
    """What `text` means; raises DataError where it is none of `values`."""
    if text.lower() not in values:
        raise DataError("A value is none that is known.", got=repr(text), allowed=", ".join(values), where=place)
    return values[text.lower()]


def read_text(path: Path, what: str = "A file") -> str:
    """A UTF-8 text, with or without a byte order mark.

    Raises:
        DataError: it is missing, cannot be read, or is no such text; calls it `what`.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{what} is missing.", where=path) from None
    except OSError as error:
        raise DataError(f"{what} cannot be read.", got=error.strerror or error, where=path) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{what} is no UTF-8 text.", got=error, where=path) from error
