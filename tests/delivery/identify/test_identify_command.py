"""The command: exit codes, what it prints, and what it leaves."""

import json
import sys
from pathlib import Path

import pytest

from pipeline_lib import cli
from pipeline_lib.delivery.identify import command
from pipeline_lib.delivery.identify.model import Opened


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Opened) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setattr(command, "load_machine", lambda: type("M", (), {"num_workers": 0}))
    monkeypatch.setattr("pipeline_lib.delivery.identify.model.open_shipped", lambda: model)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code, or the message that it ends with."""
    monkeypatch.setattr(sys, "argv", ["face-verifier", "identify", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_an_answer_of_real_processes_its_page_and_its_json(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(monkeypatch, "ann.png", "--gallery", "gallery", "--html", "page.html", "--top", "2") == 0
    text = capsys.readouterr().out
    assert "Page: page.html" in text
    assert "<h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(list((tmp_path / "xdg" / "face-verifier" / "galleries").iterdir())) == 1
    assert run(monkeypatch, "ann.png", "--gallery", "gallery", "--json", "--fpir", "0.5") == 0
    answer = json.loads(capsys.readouterr().out)
    assert len(answer["candidates"]) == 3
    assert answer["fpir"] == 0.5
    assert sorted(path.name for path in gallery.iterdir()) == ["Ann", "Bob", "Cyd.png"]


def test_errors_are_1_and_leave_no_page(gallery: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("an earlier answer")
    assert "There is no such gallery" in str(run(monkeypatch, "ann.png", "--gallery", "none", "--html", "page.html"))
    assert not (tmp_path / "page.html").exists()
    for html in ("ann.png", "gallery/Cyd.png", "gallery/new.html"):
        message = str(run(monkeypatch, "ann.png", "--gallery", "gallery", "--html", html))
        assert "would replace a photograph or lie in the gallery" in message
    assert (gallery / "Cyd.png").is_file()
    assert "There is no MLflow store" in str(
        run(monkeypatch, "ann.png", "--gallery", "gallery", "--model", "models:/m/1")
    )
    assert "lie in the gallery" in str(run(monkeypatch, "ann.png", "--gallery", "gallery", "--cache", "gallery/cache"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("ann.png",),
        ("--gallery", "gallery"),
        ("ann.png", "--gallery", "gallery", "--fpir", "0"),
        ("ann.png", "--gallery", "gallery", "--fpir", "1"),
        ("ann.png", "--gallery", "gallery", "--fpir", "nan"),
        ("ann.png", "--gallery", "gallery", "--top", "0"),
    ],
)
def test_usage_is_2(arguments: tuple[str, ...], gallery: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *arguments) == 2
