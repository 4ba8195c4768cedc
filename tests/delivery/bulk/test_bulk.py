"""Many pairs and whole folders: rows answered as one call answers them, photographs looked at once, stopped runs that go on."""

import csv
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_verifier import write_tiny

from pipeline_lib import cli
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.delivery.bulk import command, compare, features
from pipeline_lib.delivery.bulk.embed import embed_folder
from pipeline_lib.delivery.bulk.pairs_file import read_pairs_file
from pipeline_lib.delivery.identify import embedded
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.verifier.verifier import Verifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    verifier = Verifier.load(write_tiny(tmp_path_factory.mktemp("tiny"), "cosine:iresnet"))
    return Opened(verifier, "tiny", "a note", "digest", None)


@pytest.fixture(scope="module")
def pictures() -> list[bytes]:
    rng = np.random.default_rng(5)
    return [encode_png(render_photo([sample_identity(rng)], rng, 200)[0]) for _ in range(3)]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The photographs that are detected, in this process."""
    seen: list[str] = []

    def map_here(function, batches, num_workers, crashed):
        for batch in batches:
            seen.extend(Path(row["uri"]).name for row in batch)
            yield function(batch)

    monkeypatch.setattr(embedded, "map_batches", map_here)
    return seen


@pytest.fixture
def folder(tmp_path: Path, pictures: list[bytes], monkeypatch: pytest.MonkeyPatch, model: Opened) -> Path:
    """photos/0.png, 1.png, 2.png and a text, and pairs.csv beside it."""
    (tmp_path / "photos").mkdir()
    for number, content in enumerate(pictures):
        (tmp_path / f"photos/{number}.png").write_bytes(content)
    (tmp_path / "photos/text.jpg").write_text("no picture")
    rows = [
        "a,b",
        "photos/0.png,photos/1.png",
        "photos/1.png,photos/text.jpg",
        "photos/2.png,photos/0.png",
        "gone.png,photos/0.png",
    ]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "load_machine", lambda: type("M", (), {"num_workers": 0}))
    monkeypatch.setattr("pipeline_lib.delivery.identify.model.open_shipped", lambda: model)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["face-verifier", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def answers(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def test_every_row_is_answered_as_alone(
    folder: Path,
    model: Opened,
    looked_at: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, "verify", "--pairs", "pairs.csv", "--out", "out.csv", "--explain", "pages") == 0
    rows = answers(folder / "out.csv")
    assert [row["id"] for row in rows] == ["1", "2", "3", "4"]
    assert sorted(looked_at) == ["0.png", "1.png", "2.png", "text.jpg"]
    photos = folder / "photos"
    pairs = [(photos / "0.png", photos / "1.png"), (photos / "2.png", photos / "0.png")]
    for row, alone in zip((rows[0], rows[2]), model.verifier.compare(pairs), strict=True):
        assert float(row["similarity"]) == pytest.approx(alone.similarity, abs=1e-6)
        assert row["match"] == str(alone.match).lower()
        assert float(row["probability"]) == pytest.approx(alone.probability, abs=1e-6)
        assert row["error"] == ""
    assert rows[1]["error"].startswith("b: not an image")
    assert rows[3]["error"].startswith("a: unreadable")
    assert rows[1]["similarity"] == rows[1]["match"] == ""
    text = capsys.readouterr().out
    assert "4 pairs" in text
    assert "2 without an answer" in text
    assert "a note" in text
    assert sorted(path.name for path in (folder / "pages").iterdir()) == ["1.html", "3.html"]
    assert "<h1>" in (folder / "pages/1.html").read_text(encoding="utf-8")
    assert not list(folder.glob("*.partial"))


def test_a_threshold_of_ones_own_and_failing_on_errors(
    folder: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ("verify", "--pairs", "pairs.csv", "--out", "out.csv")
    assert run(monkeypatch, *given, "--threshold", "-2") == 0
    assert [row["match"] for row in answers(folder / "out.csv")] == ["true", "", "true", ""]
    assert {row["threshold"] for row in answers(folder / "out.csv")} == {"-2.0"}
    message = str(run(monkeypatch, *given, "--fail-on-error"))
    assert "2 of 4" in message
    assert len(answers(folder / "out.csv")) == 4  # the answers are there


def test_a_run_that_was_stopped_goes_on(
    folder: Path, model: Opened, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "PHOTOGRAPHS_A_SAVE", 2)
    calibration = model.verifier.calibration
    monkeypatch.setattr(compare, "_answers", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        compare.compare_pairs(model, folder / "pairs.csv", folder / "out.csv", calibration, 0)
    monkeypatch.undo()
    assert not (folder / "out.csv").exists()
    parts = sorted(path.name for path in (folder / "out.csv.partial").glob("part-*"))
    assert parts[:2] == ["part-000000.parquet", "part-000001.parquet"]
    assert (folder / "out.csv.partial").stat().st_mode & 0o077 == 0
    (folder / "photos/1.png").write_bytes((folder / "photos/2.png").read_bytes())  # another photograph now
    seen: list[str] = []
    real = embedded.looked_at

    def counted(new, *arguments):
        seen.extend(Path(photo.key).name for photo in new)
        return real(new, *arguments)

    monkeypatch.setattr(features, "looked_at", counted)
    monkeypatch.setattr(embedded, "map_batches", lambda function, batches, *_, **__: map(function, batches))
    found = compare.compare_pairs(model, folder / "pairs.csv", folder / "out.csv", calibration, 0)
    assert seen == ["1.png"]
    alone = model.verifier.compare([(folder / "photos/0.png", folder / "photos/1.png")])[0]
    assert found[0][3] == pytest.approx(alone.similarity, abs=1e-6)
    # Features of another model are none.
    (folder / "out.csv.partial").mkdir()
    (folder / "out.csv.partial/model.json").write_text('{"digest": "another"}')
    (folder / "out.csv.partial/part-000000.parquet").write_bytes(b"damaged")
    again = compare.compare_pairs(model, folder / "pairs.csv", folder / "out.csv", calibration, 0)
    assert [(answer[:3], answer[-1]) for answer in again] == [(answer[:3], answer[-1]) for answer in found]
    assert again[0][3] == pytest.approx(found[0][3], abs=1e-6)  # embedded beside other photographs


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a;b\nx;y\n", "does not name its columns"),
        ("a,b,c\nx,y,z\n", "other columns"),
        ("a,a,b\nx,y,z\n", "does not name its columns"),
        ("", "does not name its columns"),
        ("a,b\n", "has no row"),
        ("a,b\nx.png\n", "pairs.csv:2"),
        ("a,b\nx,y\nx,y,z\n", "pairs.csv:3"),
        ("a,b\nx,\n", "lacks a path"),
        ("id,a,b\n1,x,y\n1,x,z\n", "an id twice"),
        ('a,b\nx,"y\n', "pairs.csv"),
    ],
)
def test_tables_that_are_none(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "pairs.csv").write_text(text)
    if text.endswith('"y\n'):  # an open quote is a name with a line break: no such photograph, told in its row
        assert read_pairs_file(tmp_path / "pairs.csv")[0].b == "y"
        return
    with pytest.raises(DataError, match=what):
        read_pairs_file(tmp_path / "pairs.csv")


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_pairs_file(tmp_path / "none.csv")
    (tmp_path / "bytes.csv").write_bytes(b"a,b\n\xff\xfe,y\n")
    with pytest.raises(DataError, match="no UTF-8 text"):
        read_pairs_file(tmp_path / "bytes.csv")
    (tmp_path / "excel.csv").write_bytes(b"\xef\xbb\xbfid,b,a\r\nx7,2.png,/1.png\r\n")
    [row] = read_pairs_file(tmp_path / "excel.csv")
    assert (row.id, row.path_a, row.path_b) == ("x7", Path("/1.png"), tmp_path / "2.png")


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify",),
        ("verify", "a.png"),
        ("verify", "--pairs", "pairs.csv"),
        ("verify", "a.png", "b.png", "--pairs", "pairs.csv", "--out", "o.csv"),
        ("verify", "a.png", "b.png", "--out", "o.csv"),
        ("verify", "--pairs", "pairs.csv", "--out", "o.csv", "--html", "x.html"),
        ("embed", "photos"),
    ],
)
def test_usage_is_2(arguments: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, *arguments) == 2


def test_outputs_that_would_replace_or_cannot_be(
    folder: Path, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "would replace" in str(run(monkeypatch, "verify", "--pairs", "pairs.csv", "--out", "pairs.csv"))
    assert "cannot be written" in str(run(monkeypatch, "verify", "--pairs", "pairs.csv", "--out", "no/out.csv"))
    assert looked_at == []
    (folder / "ids.csv").write_text("id,a,b\n../x,photos/0.png,photos/1.png\n")
    message = str(run(monkeypatch, "verify", "--pairs", "ids.csv", "--out", "out.csv", "--explain", "pages"))
    assert "no name of a page" in message
    assert "no such photograph" in str(run(monkeypatch, "verify", "photos/0.png", "gone.png"))


def test_embeddings_of_a_folder(
    folder: Path, model: Opened, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, "embed", "photos", "--out", "v.parquet") == 0
    table = pq.read_table(folder / "v.parquet")
    assert table["path"].to_pylist() == ["0.png", "1.png", "2.png", "text.jpg"]
    crops = np.stack([model.verifier.aligned((folder / f"photos/{n}.png").read_bytes()) for n in range(3)])
    expected = model.verifier.encoder.encode(crops).vectors
    np.testing.assert_allclose(table["vector"].to_pylist()[:3], expected, atol=1e-5)
    assert table["vector"][3].as_py() is None
    assert table["error"].to_pylist()[:3] == [None] * 3
    assert table["error"][3].as_py().startswith("not an image")
    assert table.schema.metadata[b"model"] == b"tiny"
    (folder / "empty").mkdir()
    with pytest.raises(DataError, match="no photograph"):
        embed_folder(model, folder / "empty", folder / "e.parquet", 0)
    assert "no such folder" in str(run(monkeypatch, "embed", "gone", "--out", "v.parquet"))


def test_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out.strip().count(".") == 2
