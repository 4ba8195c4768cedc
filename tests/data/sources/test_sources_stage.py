"""The ingest stage on a folder of photographs: three tables that keep their contract, or none."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.tables import read_table
from pipeline_lib.data import sources
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.rejects import REJECTS
from stages import ingest


class Run:
    """Keeps what the stage logs; MLflow itself is tested with the registry."""

    metrics: Mapping[str, float] = {}

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        self.metrics = metrics


@pytest.fixture
def workplace(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Run]:
    for person in range(12):
        (tmp_path / f"raw/p{person:02d}").mkdir(parents=True)
        for image in range(2):
            pixels = np.full((4, 4, 3), 2 * person + image, np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"raw/p{person:02d}/{image}.png")
    (tmp_path / "raw/p00/empty.jpg").touch()
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["ingest"]["sources"] = [{"kind": "image_folder", "path": "", "split": "by_identity"}]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    run = Run()

    @contextmanager
    def stage_run(stage: str, params: Mapping[str, object], inputs: Mapping[str, Path]) -> Iterator[Run]:
        assert (stage, set(params), dict(inputs)) == ("ingest", {"ingest"}, {"root": Path("raw")})
        yield run

    monkeypatch.setattr(ingest, "stage_run", stage_run)
    monkeypatch.chdir(tmp_path)
    return tmp_path, run


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "params.yaml").read_text()
    assert old in text
    (folder / "params.yaml").write_text(text.replace(old, new))


def test_writes_its_tables_twice_alike(workplace: tuple[Path, Run]) -> None:
    _, run = workplace
    ingest.main(root=Path("raw"), out=Path("out"))
    assert read_table(Path("out/manifest.parquet"), MANIFEST).num_rows == 24
    assert read_table(Path("out/pairs.parquet"), PAIRS).num_rows > 0
    (reject,) = read_table(Path("out/rejects.parquet"), REJECTS).to_pylist()
    assert (reject["reason"], reject["uri"]) == ("empty", "raw/p00/empty.jpg")
    assert (run.metrics["num_input"], run.metrics["num_rejects"]) == (25.0, 1.0)
    assert list(Path("out/photos").iterdir()) == []
    before = {path.name: path.read_bytes() for path in Path("out").glob("*.parquet")}
    ingest.main(root=Path("raw"), out=Path("out"))
    assert before == {path.name: path.read_bytes() for path in Path("out").glob("*.parquet")}
    assert {path.name for path in Path("out").iterdir()} == {*before, "counts.json", "photos"}


def test_too_many_rejects_leave_their_table_alone(workplace: tuple[Path, Run]) -> None:
    folder, _ = workplace
    edit(folder, "max_reject_share: 0.05", "max_reject_share: 0.01")
    with pytest.raises(DataError, match=r"(?s)1 of 25.*empty: 1.*each of them: out/rejects\.parquet"):
        ingest.main(root=Path("raw"), out=Path("out"))
    assert [path.name for path in Path("out").glob("*.parquet")] == ["rejects.parquet"]
    (reject,) = read_table(Path("out/rejects.parquet"), REJECTS).to_pylist()
    assert (reject["reason"], reject["uri"]) == ("empty", "raw/p00/empty.jpg")


def test_names_that_are_no_utf8_become_rejects(workplace: tuple[Path, Run]) -> None:
    folder, _ = workplace
    Path(os.fsdecode(b"raw/p01/caf\xe9.png")).write_bytes((folder / "raw/p01/0.png").read_bytes())
    edit(folder, "max_reject_share: 0.05", "max_reject_share: 0.1")
    ingest.main(root=Path("raw"), out=Path("out"))
    rejects = {row["reason"]: row["uri"] for row in read_table(Path("out/rejects.parquet"), REJECTS).to_pylist()}
    assert rejects == {"empty": "raw/p00/empty.jpg", "bad_name": r"raw/p01/caf\udce9.png"}


def test_files_of_one_stem_come_out_under_two_ids(workplace: tuple[Path, Run]) -> None:
    Image.fromarray(np.full((4, 4, 3), 200, np.uint8)).save("raw/p01/0.jpg")
    ingest.main(root=Path("raw"), out=Path("out"))
    ids = {row["uri"]: row["image_id"] for row in read_table(Path("out/manifest.parquet"), MANIFEST).to_pylist()}
    assert ids["raw/p01/1.png"] == "raw-p01-1"
    assert len({ids["raw/p01/0.png"], ids["raw/p01/0.jpg"], "raw-p01-0"}) == 3


def test_wrong_key(workplace: tuple[Path, Run]) -> None:
    folder, _ = workplace
    edit(folder, "val_share", "valid_share")
    with pytest.raises(ParamsError, match=r"(?s)valid_share.*params\.yaml, ingest"):
        ingest.main(root=Path("raw"), out=Path("out"))


TOY = '''"""A format of somebody's own: a text file with a line "name path" a photograph."""

from pathlib import Path

from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos


def read(folder: Path) -> SourceFaces:
    """Every line of `folder`/list.txt."""
    photos = []
    for number, line in enumerate((folder / "list.txt").read_text().splitlines()):
        name, path = line.split()
        photos.append(PhotoRecord(f"toy-{number}", name, str(folder / path), None, f"toy-{number}"))
    return SourceFaces(as_photos(photos))
'''


def test_a_format_is_one_file(workplace: tuple[Path, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module put beside the others, named in params, goes through the stage."""
    folder, run = workplace
    (tmp_path / "kinds").mkdir()
    (tmp_path / "kinds/toy_list.py").write_text(TOY)
    lines = [f"p{person:02d} p{person:02d}/{image}.png" for person in range(12) for image in range(2)]
    (folder / "raw/list.txt").write_text("\n".join(lines))
    edit(folder, "kind: image_folder", "kind: toy_list")
    monkeypatch.setattr(sources, "__path__", [*sources.__path__, str(tmp_path / "kinds")])
    ingest.main(root=Path("raw"), out=Path("out"))
    manifest = read_table(Path("out/manifest.parquet"), MANIFEST)
    assert manifest["uri"].to_pylist() == [f"raw/{line.split()[1]}" for line in lines]
    assert set(read_table(Path("out/pairs.parquet"), PAIRS)["protocol"].to_pylist()) == {"toy_list", "val"}
    assert run.metrics["num_photos"] == 24.0
