"""face-verifier verify: what it leaves, and what it says where an output cannot be written."""

import base64
import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib import cli
from pipeline_lib.core.errors import DataError

# Of a model that was registered before answers had methods, terms and maps.
ANSWER: dict[str, Any] = {
    "error": None, "png": None, "score": "cosine:n", "is_cosine": True, "similarity": 0.1, "threshold": 0.5,
    "match": False, "probability": 0.2, "explanation": "There is no map.", "contributions": None,
}  # fmt: skip


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """An empty working directory, and a model that answers without being loaded; the photographs that it was asked about."""
    photographs: list[Path] = []

    def ask(model: str, uri: str, a: Path, b: Path, params: dict[str, Any]) -> dict[str, Any]:
        photographs.extend([a, b])
        return dict(ANSWER)

    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).touch()
    monkeypatch.setattr(cli, "ask", ask)
    monkeypatch.setattr(cli, "existing_store", lambda given: "sqlite:///mlflow.db")
    monkeypatch.setattr(cli, "is_store", lambda uri: True)
    return photographs


def verify(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """The command's exit code, or the message it exits with."""
    monkeypatch.setattr(sys, "argv", ["face-verifier", "verify", *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    return raised.value.code


def written(folder: Path) -> list[str]:
    """What is there beside the photographs."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".jpg")


@pytest.mark.parametrize(
    ("html", "why"),
    [
        ("folder", "a folder, device or pipe of this name"),
        (".", "a folder, device or pipe of this name"),
        ("no/such/folder/v.html", "No such file or directory"),
        ("file/v.html", "Not a directory"),
        ("/proc/v.html", "No such file or directory"),
    ],
)
def test_a_page_that_cannot_be_written_is_a_sentence_before_the_model_is_asked(
    html: str, why: str, asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    message = verify(monkeypatch, "a.jpg", "b.jpg", "--html", html)
    assert message == f"DataError: A file cannot be written.\n  got: {why}\n  where: {Path(html)}"
    assert asked == []
    assert written(tmp_path) == ["file", "folder"]


@pytest.mark.parametrize("how", ["answer", "exception", "interrupt"])
def test_without_a_verdict_the_last_pairs_page_is_gone(
    how: str, asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert verify(monkeypatch, "a.jpg", "b.jpg", "--html", "v.html") == 0
    assert "No match" in (tmp_path / "v.html").read_text(encoding="utf-8")

    def fail(*_: object) -> dict[str, Any]:
        if how == "answer":
            return {**ANSWER, "error": "image_a: no face (the detector found none)"}
        raise KeyboardInterrupt if how == "interrupt" else DataError("There is no such model.")

    monkeypatch.setattr(cli, "ask", fail)
    assert verify(monkeypatch, "b.jpg", "a.jpg", "--html", "v.html") != 0
    assert written(tmp_path) == []


def test_the_page_does_not_replace_a_photograph(
    asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "b.jpg").write_bytes(b"a photograph")
    assert "would replace a photograph" in str(verify(monkeypatch, "a.jpg", "b.jpg", "--html", tmp_path / "b.jpg"))
    assert (tmp_path / "b.jpg").read_bytes() == b"a photograph"


def test_a_photographs_name_that_is_no_utf8(
    asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = os.fsdecode(b"J\xf6rg")
    (tmp_path / f"{name}.jpg").touch()
    assert verify(monkeypatch, f"{name}.jpg", "b.jpg", "--html", f"{name}.html") == 0
    assert asked == [Path(f"{name}.jpg"), Path("b.jpg")]
    assert "J\\udcf6rg.jpg" in (tmp_path / f"{name}.html").read_text(encoding="utf-8")
    assert "Page: J\\udcf6rg.html" in capsys.readouterr().out


def test_a_terminal_that_is_no_utf8(asked: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    patch = {"x": 28, "y": 0, "w": 56, "h": 56, "contribution_a": 0.1, "contribution_b": 0.1}
    monkeypatch.setitem(ANSWER, "contributions", [patch])
    monkeypatch.setitem(ANSWER, "explanation", "e₁·e₂")
    bytes_out = io.BytesIO()
    terminal = io.TextIOWrapper(bytes_out, encoding="latin-1")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert verify(monkeypatch, "a.jpg", "b.jpg") == 0
    terminal.flush()
    assert b"forehead and both eyes" in bytes_out.getvalue()


def test_a_picture_is_written_where_there_is_one(
    asked: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    message = str(verify(monkeypatch, "a.jpg", "b.jpg", "--html", "v.html", "--png", "v.png"))
    assert "There is no picture to write" in message
    assert written(tmp_path) == []
    monkeypatch.setitem(ANSWER, "png", base64.b64encode(b"a picture").decode())
    assert verify(monkeypatch, "a.jpg", "b.jpg", "--png", "v.png") == 0
    assert (tmp_path / "v.png").read_bytes() == b"a picture"
