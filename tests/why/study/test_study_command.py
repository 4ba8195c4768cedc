"""face-verifier study, as it is typed."""

import csv
import sys
from pathlib import Path

import pytest

from pipeline_lib import cli
from pipeline_lib.core.files import read_json
from pipeline_lib.why.study.key import read_key


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """The command's exit code, or the message it exits with."""
    monkeypatch.setattr(sys, "argv", ["face-verifier", "study", *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    return raised.value.code


def test_a_study_is_made_filled_and_scored(
    rebuild: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(rebuild)
    out, scores = tmp_path / "study", tmp_path / "scores.json"
    assert run(monkeypatch, "make", "floor", "--out", out, "--pairs", 6, "--seed", 1) == 0
    key = read_key(out / "key.json")
    assert f"Study {key.study}: 2 forms of 12 pairs" in capsys.readouterr().out
    truth = {str(question.pair): question for question in key.questions}
    sheets = sorted((out / "answers").iterdir())
    for number, path in enumerate(sheets):
        rows = list(csv.DictReader(path.open()))
        for row in rows:
            is_right = key.method(row["form"], truth[row["pair"]]) == "floor"
            row |= {"participant": str(number), "answer": "yes" if truth[row["pair"]].genuine == is_right else "no"}
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    assert run(monkeypatch, "score", out / "key.json", *sheets, "--out", scores) == 0
    said = capsys.readouterr().out
    assert "floor less none: +100.0 points (+100.0 to +100.0)" in said
    found = read_json(scores)["methods"]
    assert (found["floor"]["accuracy"], found["none"]["accuracy"]) == (1.0, 0.0)
    sheets[0].write_text(sheets[0].read_text().replace("yes", "ja", 1))
    message = str(run(monkeypatch, "score", out / "key.json", *sheets, "--out", scores))
    assert "answer is 'ja'; allowed: yes, no" in message
    assert not scores.exists()  # a failure leaves no older scores as its own
    assert "would replace" in str(run(monkeypatch, "score", out / "key.json", *sheets, "--out", sheets[1]))
    assert sheets[1].read_text().count("yes")


def test_a_mistyped_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, "make", "own") == 2
    assert run(monkeypatch, "make", "own", "--out", tmp_path / "x", "--pairs", 0) == 2
    assert "JSON file is missing" in str(run(monkeypatch, "score", tmp_path / "key.json", tmp_path / "a.csv"))
