"""The cache: what is looked at again, and what a damaged or foreign one does."""

import logging
import os
import stat
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rendered import Detected, opened, search

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.identify.cache import cache_file, read_cache, read_faces, write_cache
from pipeline_lib.delivery.identify.model import Opened, digest_of


def the_file(gallery: Path) -> Path:
    (found,) = (gallery.parent / "cache").iterdir()
    return found


def test_only_what_is_new_or_changed_is_looked_at(
    gallery: Path, model: Opened, detected: Detected, pictures: list[list[bytes]]
) -> None:
    query = gallery.parent / "ann.png"
    first = search(model, query, gallery)
    assert detected.num == 3
    assert search(model, query, gallery) == first
    assert detected.num == 3
    (gallery / "Bob" / "2.png").write_bytes(pictures[1][1])
    assert search(model, query, gallery).num_photographs == 4
    assert detected.num == 4
    (gallery / "Bob" / "1.png").unlink()
    assert search(model, query, gallery).num_photographs == 3
    assert detected.num == 4
    assert read_cache(the_file(gallery), with_faces=False)["key"].to_pylist() == ["Ann/1.png", "Bob/2.png", "Cyd.png"]
    (gallery / "Cyd.png").write_bytes(pictures[0][1])
    changed = search(model, query, gallery)
    assert detected.num == 5
    assert (changed.candidates[0].name, changed.candidates[0].similarity) == ("Cyd", pytest.approx(1.0, abs=1e-6))


def test_a_photograph_moved_over_another_of_equal_size_and_time_is_another(
    gallery: Path, model: Opened, detected: Detected, pictures: list[list[bytes]]
) -> None:
    size = max(len(pictures[0][0]), len(pictures[1][1]))
    ann, other = gallery / "Ann" / "1.png", gallery.parent / "other.png"
    ann.write_bytes(pictures[0][0].ljust(size, b"\0"))
    other.write_bytes(pictures[1][1].ljust(size, b"\0"))
    for path in (ann, other):
        os.utime(path, ns=(10**18, 10**18))
    before = search(model, gallery.parent / "ann.png", gallery)
    other.replace(ann)
    after = search(model, gallery.parent / "ann.png", gallery)
    assert detected.num == 4
    assert before.candidates != after.candidates


def test_the_file_is_the_user_s_alone_and_faces_come_back(gallery: Path, model: Opened, detected: Detected) -> None:
    search(model, gallery.parent / "ann.png", gallery)
    path = the_file(gallery)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    (face,) = read_faces(path, ["Bob/1.png"])
    expected = model.verifier.aligned((gallery / "Bob" / "1.png").read_bytes())
    assert (face == expected).all()
    with pytest.raises(DataError, match="damaged, or was replaced"):
        read_faces(path, ["Eve.png"])


@pytest.mark.parametrize("how", ["cut", "text", "bit", "columns"])
def test_a_damaged_cache_is_made_anew_with_a_word(
    how: str, gallery: Path, model: Opened, detected: Detected, caplog: pytest.LogCaptureFixture
) -> None:
    query = gallery.parent / "ann.png"
    first = search(model, query, gallery)
    path = the_file(gallery)
    data = bytearray(path.read_bytes())
    if how == "columns":
        pq.write_table(pq.read_table(path).drop(["vector"]), path)
    elif how == "bit":
        pages = pq.ParquetFile(path).metadata.row_group(0)
        vector = next(pages.column(i) for i in range(pages.num_columns) if "vector" in pages.column(i).path_in_schema)
        data[vector.data_page_offset + vector.total_compressed_size // 2] ^= 1
        path.write_bytes(data)
    else:
        path.write_bytes(data[: len(data) // 2] if how == "cut" else b"no parquet")
    with caplog.at_level(logging.WARNING):
        assert search(model, query, gallery) == first
    assert "cache is damaged and is made anew" in caplog.text
    assert detected.num == 6
    caplog.clear()
    assert search(model, query, gallery) == first
    assert (detected.num, caplog.text) == (6, "")


def test_another_model_has_another_file(gallery: Path, model: Opened, detected: Detected, tmp_path: Path) -> None:
    search(model, tmp_path / "ann.png", gallery)
    search(opened(tmp_path / "other", "cosine:bagnet"), tmp_path / "ann.png", gallery)
    assert detected.num == 6
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_digest_is_of_what_decides_features(tmp_path: Path) -> None:
    (tmp_path / "networks").mkdir()
    for name in ("settings.json", "calibration.json", "impostors.json", "networks/n.safetensors"):
        (tmp_path / name).write_text("1")
    first = digest_of(tmp_path, "weights")
    for name in ("calibration.json", "impostors.json"):
        (tmp_path / name).write_text("2")
    assert digest_of(tmp_path, "weights") == first
    assert digest_of(tmp_path, "others") != first
    (tmp_path / "networks" / "n.safetensors").write_text("2")
    assert digest_of(tmp_path, "weights") != first


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_file(None, tmp_path / "a", "d").parent == tmp_path / "xdg" / "face-verifier" / "galleries"
    assert cache_file(None, tmp_path / "a", "d") != cache_file(None, tmp_path / "b", "d")
    with pytest.raises(DataError, match="would lie in the gallery"):
        cache_file(tmp_path / "a" / "cache", tmp_path / "a", "d")
    with pytest.raises(DataError, match="would lie in the gallery"):
        cache_file(None, tmp_path, "d")


def test_a_cache_that_cannot_be_written(gallery: Path, model: Opened, detected: Detected) -> None:
    (gallery.parent / "cache").write_text("a file")
    with pytest.raises(DataError, match="cannot be written"):
        search(model, gallery.parent / "ann.png", gallery)


WRITER = """
import sys
from pathlib import Path
from pipeline_lib.delivery.identify.cache import read_cache, write_cache
path, table = Path(sys.argv[1]), read_cache(Path(sys.argv[1]), with_faces=True)
for _ in range(20):
    write_cache(path, table)
"""


def test_a_reader_beside_a_writer_reads_a_whole_file(gallery: Path, model: Opened, detected: Detected) -> None:
    search(model, gallery.parent / "ann.png", gallery)
    path = the_file(gallery)
    table = read_cache(path, with_faces=True)
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as writer:
        num_reads = 0
        while writer.poll() is None or not num_reads:
            assert read_cache(path, with_faces=True).equals(table)
            write_cache(path, table)
            num_reads += 1
    assert writer.returncode == 0
    assert [one.name for one in path.parent.iterdir()] == [path.name]  # no partial file is left
