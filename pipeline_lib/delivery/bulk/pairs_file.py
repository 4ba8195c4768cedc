"""The table of pairs that a bulk comparison reads: a CSV file with columns a, b and, if wanted, id."""

from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.text_tables import read_csv_rows

NEEDED, OPTIONAL = ("a", "b"), ("id",)


@dataclass(frozen=True)
class PairRow:
    """One row: what it is called (its number, from 1, without a column id), the two paths as they stand there, and from where."""

    id: str
    a: str
    b: str
    folder: Path

    @property
    def path_a(self) -> Path:
        """A's path in full."""
        return self.folder / self.a

    @property
    def path_b(self) -> Path:
        """B's."""
        return self.folder / self.b


def read_pairs_file(path: Path) -> list[PairRow]:
    """Read the rows in their order; relative paths start from the file's folder. No photograph is opened.

    Raises:
        DataError: see read_csv_rows; other columns, no row, a row without a path or an id, or an id twice; names the line.
    """
    columns, found = read_csv_rows(path, NEEDED)
    if others := [name for name in columns if name not in (*NEEDED, *OPTIONAL)]:
        raise DataError(
            "A table of pairs has other columns.", got=others, allowed="a, b and, if wanted, id", where=path
        )
    rows: dict[str, PairRow] = {}
    for number, (place, fields) in enumerate(found, 1):
        row = PairRow(fields.get("id", str(number)), fields["a"], fields["b"], path.parent)
        if not all((row.id, row.a, row.b)) or "\0" in row.a + row.b:
            raise DataError("A row of a table of pairs lacks a path or its id.", got=fields, where=place)
        if row.id in rows:
            raise DataError("A table of pairs has an id twice.", got=row.id, where=place)
        rows[row.id] = row
    if not rows:
        raise DataError("A table of pairs has no row.", where=path)
    return list(rows.values())
