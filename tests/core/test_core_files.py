"""Files and tables that are whole or absent."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import (
    atomic_dir,
    atomic_file,
    clear_output,
    output_file,
    read_json,
    sha256_file,
    write_json,
)
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_file(path) as partial:
        partial.write_text("old")

    def interrupted() -> None:
        with atomic_file(path) as partial:
            partial.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["missing/page.html", "folder", "file/page.html", "n" * 300, ".", "pipe"])
def test_a_path_that_a_person_typed_and_nobody_can_write(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="cannot be written"):
        clear_output(tmp_path / name)
    with pytest.raises(DataError, match="cannot be written"), output_file(tmp_path / name) as partial:
        partial.write_text("page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "pipe"]
    assert (tmp_path / "pipe").is_fifo()


def test_what_an_earlier_run_left_is_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("last pair")
    clear_output(path)
    assert list(tmp_path.iterdir()) == []
    with output_file(path) as partial:
        partial.write_text("this pair")
    assert path.read_text() == "this pair"


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    with atomic_dir(folder) as partial:
        (partial / "a").write_text("old")

    def interrupted() -> None:
        with atomic_dir(folder) as partial:
            (partial / "b").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [path.name for path in folder.iterdir()] == ["a"]
    with atomic_dir(folder) as partial:
        (partial / "c").write_text("new")
    assert [path.name for path in folder.iterdir()] == ["c"]
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_killed_run_left_does_not_come_back(tmp_path: Path) -> None:
    (tmp_path / ".shards.partial").mkdir()
    (tmp_path / ".shards.partial" / "stale").write_text("")
    with atomic_dir(tmp_path / "shards") as partial:
        (partial / "new").write_text("")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["new"]


def test_json_refuses_nan_and_names_a_broken_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not (tmp_path / "a.json").exists()
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(DataError, match=r"a\.json"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match="missing"):
        read_json(tmp_path / "b.json")
    write_json(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [2], "b": 1}


def test_sha256_of_abc(tmp_path: Path) -> None:
    """The golden value is the example of FIPS 180-2."""
    (tmp_path / "abc").write_text("abc")
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_table_comes_back_and_another_schema_is_refused(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"protocol": "lfw", "fold": 0, "image_a": "a", "image_b": "b", "genuine": True, "group": None},
    ]
    table = table_from_rows(rows, PAIRS)
    write_table(tmp_path / "pairs.parquet", table, PAIRS)
    assert read_table(tmp_path / "pairs.parquet", PAIRS).to_pylist() == rows
    with pytest.raises(DataError, match="columns differ"):
        read_table(tmp_path / "pairs.parquet", MANIFEST)
    with pytest.raises(DataError, match="columns differ"):
        write_table(tmp_path / "x.parquet", table.drop_columns(["fold"]), PAIRS)
    assert not (tmp_path / "x.parquet").exists()


def test_a_wrong_type_a_missing_and_a_foreign_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    wrong = table_from_rows([], PAIRS).set_column(1, "fold", pa.array([], pa.list_(pa.int8())))
    pq.write_table(wrong, path)
    with pytest.raises(DataError, match="another type"):
        read_table(path, PAIRS)
    path.write_bytes(b"PAR1 but not really")
    with pytest.raises(DataError, match=r"pairs\.parquet"):
        read_table(path, PAIRS)
    path.unlink()
    with pytest.raises(DataError, match="missing"):
        read_table(path, PAIRS)


@pytest.mark.parametrize("rows", [[], [{"image_id": "a"}]])
def test_empty_and_null_columns_survive(tmp_path: Path, rows: list[dict[str, object]]) -> None:
    write_table(tmp_path / "m.parquet", table_from_rows(rows, MANIFEST), MANIFEST)
    assert read_table(tmp_path / "m.parquet", MANIFEST).num_rows == len(rows)
