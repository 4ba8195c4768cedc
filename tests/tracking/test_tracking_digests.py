"""Digests of inputs: DVC's, of what lies there."""

import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import pytest
import yaml

from pipeline_lib.tracking import digests

ZEROS = "0" * 32  # no file's md5


def write_lock(*outs: dict[str, object]) -> None:
    Path("dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": {"align": {"cmd": "x", "outs": [*outs]}}}))


def digest_of(path: str, notes: Path | None = None) -> tuple[str, str]:
    (found,) = digests.data_digests({"it": Path(path)}, notes=notes)
    return found.digest, found.source


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_content_digest_is_dvcs(tmp_path: Path) -> None:
    """DVC itself is the oracle, for a file and for a folder with nested, odd and empty names."""
    folder = tmp_path / "things"
    for name, text in {"b.txt": "b", "a/z.txt": "z", "a b.txt": "", "ä.txt": "x", "a.d/c": "c"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (tmp_path / "one.bin").write_bytes(bytes(range(256)))
    from dvc.repo import Repo

    os.environ["DVC_NO_ANALYTICS"] = "1"
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        for path in (folder, tmp_path / "one.bin"):
            (stage,) = repo.add(str(path))
            assert digests.content_digest(path) == stage.outs[0].hash_info.value


def test_what_dvc_ignores_is_left_out(here: Path, repository: Path) -> None:
    """By the repository's own .dvcignore; DVC is the oracle. Outside the repository nothing is ignored, by neither."""
    from dvc.repo import Repo

    os.environ["DVC_NO_ANALYTICS"] = "1"
    inside, outside = here / "repo" / "folder", here / "outside"
    for folder in (inside, outside):
        for name in (
            "a.tar",
            ".gitkeep",
            ".gitignore",
            "b/.gitignore",
            "b/c.pyc",
            "__pycache__/d",
            ".tracking/e",
            "b/f",
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    os.chdir(here / "repo")
    shutil.copy(repository / ".dvcignore", ".")
    stage = {"cmd": "true", "deps": ["folder", str(outside)]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"s": stage}}))
    with Repo.init(".", no_scm=True) as repo:
        repo.reproduce("s")
    found = {dep["path"]: dep["md5"] for dep in digests.locked_stages(Path("dvc.lock"))["s"]["deps"]}
    assert found == {"folder": digests.content_digest(Path("folder")), str(outside): digests.content_digest(outside)}
    assert len({*found.values()}) == 2


def test_folder_digest_is_the_documented_formula(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("2")
    (tmp_path / "a").write_text("1")
    entries = [{"md5": md5(text), "relpath": name} for name, text in (("a", b"1"), ("b", b"2"))]
    expected = md5(json.dumps(entries, sort_keys=True).encode()) + ".dir"
    assert digests.content_digest(tmp_path) == expected


def test_parent_folder_gives_the_digests_of_the_tracked_paths_below(here: Path) -> None:
    shards, index = Path("data/align/shards"), Path("data/align/index.parquet")
    shards.mkdir(parents=True)
    (shards / "a.tar").write_text("1234")
    index.write_text("12")
    write_lock(
        {"path": str(shards), "md5": f"{ZEROS}.dir", "size": 4},
        {"path": str(index), "md5": ZEROS, "size": 2},
        {"path": "data/other", "md5": ZEROS, "size": 1},
    )
    found = digests.data_digests({"aligned": Path("data/align")})
    assert {(item.name, item.digest) for item in found} == {
        ("aligned/shards", digests.content_digest(shards)),
        ("aligned/index.parquet", md5(b"12")),
    }
    assert all(len(item.digest) <= 36 for item in found)  # MLflow's limit


@pytest.mark.parametrize("size", [3, 5])
def test_dvc_lock_is_not_believed(here: Path, size: int) -> None:
    """Not even where the number of bytes is what it says: another network has as many."""
    Path("table").write_text("newer")
    write_lock({"path": "table", "md5": ZEROS, "size": size})
    assert digest_of("table") == (md5(b"newer"), "content")


def test_what_is_too_large_to_read_is_said_to_be_unread(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MAX_READ_BYTES", 4)
    Path("table").write_text("large")
    assert digest_of("table") == ("5 bytes", "size")
    write_lock({"path": "table", "md5": ZEROS, "size": 4})
    assert digest_of("table") == ("5 bytes", "size")
    write_lock({"path": "table", "md5": ZEROS, "size": 5})
    assert digest_of("table") == (ZEROS, "dvc.lock, same size")


def test_input_is_read_once_and_again_when_it_changed(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    original = digests.content_digest
    monkeypatch.setattr(digests, "content_digest", lambda path: read.append(path) or original(path))
    folder, notes = Path("folder"), here / ".tracking"
    folder.mkdir()
    (folder / "a").write_text("one")
    settled_s = time.time() - 10.0
    os.utime(folder / "a", (settled_s, settled_s))
    first = digest_of("folder", notes)
    assert digest_of("folder", notes) == first
    assert len(read) == 1
    (folder / "a").write_text("two")  # as many bytes
    os.utime(folder / "a", (settled_s, settled_s + 1.0))
    second = digest_of("folder", notes)
    assert second[0] == original(folder) != first[0]
    assert len(read) == 2
    (folder / "a").rename(folder / "b")
    assert digest_of("folder", notes)[0] == original(folder) != second[0]


def test_file_that_was_written_just_now_is_read_again(here: Path) -> None:
    """It may be written once more without a later time."""
    Path("table").write_text("one")
    stamp = Path("table").stat()
    assert digest_of("table", here)[0] == md5(b"one")
    Path("table").write_text("two")
    os.utime("table", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert digest_of("table", here)[0] == md5(b"two")


@pytest.mark.parametrize("content", ["no JSON", "[]", None])
def test_notes_that_cannot_be_used_are_done_without(here: Path, content: str | None) -> None:
    notes = here / "notes"
    if content is None:
        notes.write_text("a file where the folder should be")
    else:
        notes.mkdir()
        (notes / digests.NOTES_FILE).write_text(content)
    Path("table").write_text("x")
    assert digest_of("table", notes)[0] == md5(b"x")


def test_untracked_missing_and_half_written(here: Path) -> None:
    Path("file").write_text("x")
    Path("dvc.lock").write_text("stages: {align: [")  # another process is writing it
    found = digests.data_digests({"file": Path("file"), "gone": Path("gone")})
    assert [(item.name, item.digest) for item in found] == [("file", md5(b"x"))]
