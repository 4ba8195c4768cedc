"""Outputs of entries that params no longer name go; everything else stays."""

from pathlib import Path

from pipeline_lib.leftovers import entries_by_folder, remove_leftovers
from pipeline_lib.params.whole import load_params


def test_only_what_no_entry_names_goes(repository: Path, tmp_path: Path) -> None:
    params = load_params(repository / "params.yaml")
    for folder, entries in entries_by_folder(params).items():
        (tmp_path / folder).mkdir()
        for name in [*entries, "gone", ".gitkeep"]:
            (tmp_path / folder / name).mkdir()
    scores = tmp_path / "scores"
    for name in ("cosine.parquet", "old.parquet", ".gitignore"):
        (scores / name).touch()
    (tmp_path / "align").mkdir()
    before = set(tmp_path.glob("*/*"))
    removed = remove_leftovers(params, tmp_path)
    assert set(removed) == {path for path in before if path.name in ("gone", "old.parquet")}
    assert set(tmp_path.glob("*/*")) == before - set(removed)
    assert remove_leftovers(params, tmp_path) == []


def test_every_table_has_its_folders(repository: Path) -> None:
    """Each folder of outputs that git keeps for a table is looked through, so that none is forgotten."""
    kept = {path.parent.name for path in (repository / "data").glob("*/.gitkeep")}
    assert kept <= set(entries_by_folder(load_params(repository / "params.yaml")))
