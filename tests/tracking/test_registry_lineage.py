"""Commit, digests, hardware and versions."""

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from pipeline_lib.tracking import lineage


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    (tmp_path / "dvc.lock").write_text("schema: '2.0'\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_git_state_ignores_what_a_rebuild_writes(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert lineage.git_state(checkout) == (commit, "clean")
    (checkout / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    (checkout / "data").mkdir()
    (checkout / "data" / ".gitignore").write_text("/photos\n")
    assert lineage.git_state(checkout) == (commit, "clean")
    (checkout / "code.py").write_text("2\n")
    assert lineage.git_state(checkout) == (commit, "dirty")


def test_new_code_file_makes_the_checkout_dirty(checkout: Path) -> None:
    (checkout / "new.py").write_text("")
    assert lineage.git_state(checkout)[1] == "dirty"


def test_git_state_outside_a_checkout_is_unknown(tmp_path: Path) -> None:
    assert lineage.git_state(tmp_path) == ("unknown", "unknown")


def test_rebuild_id_is_the_stated_hash() -> None:
    expected = hashlib.sha256(b"abcseed: 1\n").hexdigest()[:12]
    assert lineage.rebuild_id("abc", b"seed: 1\n") == expected
    assert lineage.rebuild_id("abc", b"seed: 2\n") != expected


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
            assert lineage.content_digest(path) == stage.outs[0].hash_info.value


def write_lock(path: Path, outs: list[dict[str, object]]) -> None:
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": {"align": {"cmd": "x", "outs": outs}}}))


def test_parent_folder_gives_the_digests_of_the_tracked_paths_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shards, index = Path("data/align/shards"), Path("data/align/index.parquet")
    shards.mkdir(parents=True)
    (shards / "a.tar").write_text("1234")
    index.write_text("12")
    outs: list[dict[str, object]] = [
        {"path": str(shards), "md5": "1" * 32 + ".dir", "size": 4},
        {"path": str(index), "md5": "2" * 32, "size": 2},
        {"path": "data/other", "md5": "3" * 32, "size": 1},
    ]
    write_lock(Path("dvc.lock"), outs)
    found = lineage.data_digests({"aligned": Path("data/align")})
    assert {(item.name, item.digest, item.source) for item in found} == {
        ("aligned/shards", "1" * 32 + ".dir", "dvc.lock"),
        ("aligned/index.parquet", "2" * 32, "dvc.lock"),
    }
    assert all(len(item.digest) <= 36 for item in found)  # MLflow's limit


def test_stale_lock_entry_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("table").write_text("newer and longer")
    write_lock(Path("dvc.lock"), [{"path": "table", "md5": "1" * 32, "size": 3}])
    (found,) = lineage.data_digests({"table": Path("table")})
    assert (found.digest, found.source) == (hashlib.md5(b"newer and longer").hexdigest(), "content")


def test_untracked_missing_and_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("x")
    Path("dvc.lock").write_text("stages: {align: [")  # another process is writing it
    found = lineage.data_digests({"file": Path("file"), "gone": Path("gone")})
    assert [(item.name, item.digest) for item in found] == [("file", hashlib.md5(b"x").hexdigest())]


def test_folder_digest_is_the_documented_formula(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("2")
    (tmp_path / "a").write_text("1")
    entries = [{"md5": hashlib.md5(text).hexdigest(), "relpath": name} for name, text in (("a", b"1"), ("b", b"2"))]
    expected = hashlib.md5(json.dumps(entries, sort_keys=True).encode()).hexdigest() + ".dir"
    assert lineage.content_digest(tmp_path) == expected


def test_hardware_and_versions_are_filled() -> None:
    found = lineage.hardware()
    assert int(found["cores"]) >= 1
    assert float(found["memory_gib"]) > 0
    assert found["cpu"]
    assert found["gpu"]
    assert lineage.versions()["mlflow"].startswith("3.")
