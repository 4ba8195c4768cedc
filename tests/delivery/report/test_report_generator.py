"""The chapter on fake faces: what it says, in a page that shows nothing of an entry that params do not name."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_rebuild import make_about

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.report.chapters import generator
from pipeline_lib.delivery.report.html import render
from pipeline_lib.schemas.nearest_faces import MEASURES, NEAREST_FACES, RELATIONS, TO_OWN_PHOTOGRAPHS

SETTINGS = {
    "judge": "iresnet", "side_px": 28, "width": 2, "max_channels": 8, "latent_dim": 4, "num_steps": 7, "batch_size": 2,
    "learning_rate": 0.001, "r1_gamma": 10.0, "r1_every_steps": 2, "ema_decay": 0.9, "num_judged": 64, "seed": 3,
}  # fmt: skip


def write_generated(folder: Path, num_copies: int, relations: tuple[str, ...] = RELATIONS) -> None:
    folder.mkdir(parents=True)
    figures = {"num_judged": 64}
    for measure in MEASURES:
        figures |= {f"{measure}.num_copies": num_copies if measure == "pixels" else 0, f"{measure}.num_lookalikes": 5}
        figures |= {f"{measure}.num_twins": 3, f"{measure}.copy_cosine": 0.91, f"{measure}.person_cosine": 0.52}
    (folder / "metrics.json").write_text(json.dumps(figures))
    (folder / "history.csv").write_text("step,epoch,discriminator,generator,r1\n4,0.5,1.3,0.7,0.1\n7,0.9,1.2,0.8,0.1\n")
    rows = [
        {"measure": measure, "relation": relation, "face": "<b>a", "nearest": "b", "cosine": cosine}
        for measure in MEASURES
        for relation in relations
        for cosine in (0.2, 0.4)
    ]
    write_table(folder / "nearest.parquet", table_from_rows(rows, NEAREST_FACES), NEAREST_FACES)
    for name in ("sheet", *(f"nearest_{measure}" for measure in MEASURES)):
        (folder / f"{name}.png").write_bytes(encode_png(np.full((8, 8, 3), 90, np.uint8)))


def page(data: Path, *named: str) -> str:
    about = make_about(generators=dict.fromkeys(named, SETTINGS))
    return render("chapters/generator.html.j2", generator.show(generator.read(data), about))


def test_copies_are_counted_and_said_aloud(tmp_path: Path) -> None:
    write_generated(tmp_path / "generators" / "gan", num_copies=2)
    write_generated(tmp_path / "generators" / "left", num_copies=0)
    shown = page(tmp_path, "gan")
    assert "<h3>gan</h3>" in shown
    assert "left" not in shown
    for cell in ("2 of 64", "5 of 64", "3 of 64", "0.910", "0.520"):
        assert cell in shown
    assert "2 of the fakes count as copies" in shown
    assert shown.count("<img") == 5  # sheet, distances, two strips, losses
    assert "<b>a" not in shown


def test_no_copy_is_no_warning_and_a_relation_may_lack_rows(tmp_path: Path) -> None:
    kept = tuple(relation for relation in RELATIONS if relation != TO_OWN_PHOTOGRAPHS)
    write_generated(tmp_path / "generators" / "gan", 0, kept)
    assert "count as copies" not in page(tmp_path, "gan")


@pytest.mark.parametrize("name", ["sheet.png", "nearest.parquet", "history.csv", "metrics.json"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    write_generated(tmp_path / "generators" / "gan", 0)
    (tmp_path / "generators" / "gan" / name).unlink()
    with pytest.raises(DataError, match=name):
        generator.read(tmp_path)


def test_incomplete_figures_are_named(tmp_path: Path) -> None:
    write_generated(tmp_path / "generators" / "gan", 0)
    (tmp_path / "generators" / "gan" / "metrics.json").write_text("{}")
    with pytest.raises(DataError, match="gan"):
        page(tmp_path, "gan")
