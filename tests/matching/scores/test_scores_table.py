"""Score tables: what a column is stays with it, and only tables of the same pairs are joined."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.matching.scores.shared.table import (
    ScoreColumn,
    headline,
    joined,
    read_entries,
    read_scores,
    score_columns,
    score_table,
    write_scores,
)
from pipeline_lib.params.scores import Score
from pipeline_lib.schemas.pairs import PAIRS

ROWS = [("lfw", fold, f"a{fold}", f"b{fold}", fold % 2 == 0, None if fold else "g") for fold in range(4)]
PAIR_TABLE = table_from_rows([dict(zip(PAIRS.names, row, strict=True)) for row in ROWS], PAIRS)
COLUMNS = {"cosine:n": ScoreColumn("cosine", True, True), "regions:p28_x0_y0": ScoreColumn("regions", True, False)}


def written(path: Path, pairs: pa.Table = PAIR_TABLE, columns: dict[str, ScoreColumn] = COLUMNS) -> Path:
    values = {name: np.arange(pairs.num_rows) + place for place, name in enumerate(columns)}
    write_scores(path, score_table(pairs, values, columns))
    return path


def test_round_trip(tmp_path):
    table = read_scores(written(tmp_path / "some.parquet"))
    assert table.column_names == [*PAIRS.names, *COLUMNS]
    assert score_columns(table) == COLUMNS
    assert headline(table) == ["cosine:n"]
    assert str(table.schema.field("cosine:n").type) == "float"
    assert table["group"].to_pylist() == ["g", None, None, None]


def test_an_entry_comes_back_with_its_own_keys(tmp_path):
    entry = Score.model_validate({"kind": "dam", "of": "embed/n", "with": "anchors/a", "form": "product"})
    write_scores(tmp_path / "mine.parquet", score_table(PAIR_TABLE, {}, {}, entry))
    assert read_entries(tmp_path) == {"mine": entry}
    assert read_entries(tmp_path)["mine"].own == {"form": "product"}
    written(tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"no entry[\s\S]*other\.parquet"):
        read_entries(tmp_path)


def test_tables_are_joined_in_their_order(tmp_path):
    other = {"a": ScoreColumn("raw_pixel", False, True)}
    paths = [written(tmp_path / "z.parquet"), written(tmp_path / "a.parquet", columns=other)]
    table = joined(PAIR_TABLE, paths)
    assert table.column_names == [*PAIRS.names, *COLUMNS, "a"]
    assert score_columns(table) == {**COLUMNS, **other}
    assert table["regions:p28_x0_y0"].to_pylist() == [1, 2, 3, 4]
    nothing = joined(PAIR_TABLE, [])
    assert (nothing.column_names, score_columns(nothing), nothing.num_rows) == (PAIRS.names, {}, 4)


@pytest.mark.parametrize("change", ["fewer", "order", "one image", "a group"])
def test_a_table_of_other_pairs_is_named(tmp_path, change):
    rows = PAIR_TABLE.to_pylist()
    if change == "fewer":
        rows = rows[:3]
    elif change == "order":
        rows = rows[::-1]
    else:
        rows[2]["image_b" if change == "one image" else "group"] = "other"
    path = written(tmp_path / "stale.parquet", table_from_rows(rows, PAIRS))
    with pytest.raises(DataError, match=r"other pairs[\s\S]*stale\.parquet"):
        joined(PAIR_TABLE, [path])


def test_columns_of_one_name_are_named(tmp_path):
    paths = [written(tmp_path / f"{name}.parquet") for name in ("first", "second")]
    with pytest.raises(DataError, match=r"of one name[\s\S]*cosine:n[\s\S]*second"):
        joined(PAIR_TABLE, paths)


def test_what_is_no_score_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="missing"):
        read_scores(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    with pytest.raises(DataError, match="no table of scores"):
        read_scores(tmp_path / "text.parquet")
    pq.write_table(PAIR_TABLE.append_column("unsaid", pa.array([0.0] * 4)), tmp_path / "unsaid.parquet")
    with pytest.raises(DataError, match=r"other columns[\s\S]*unsaid"):
        read_scores(tmp_path / "unsaid.parquet")
