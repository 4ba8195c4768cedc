"""Adversarial queries as a set: which images, against whom, and the stage's files."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml

import stages.attack
from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.occlusion.draw import query_images
from pipeline_lib.networks.attack.attacked_set import own_gallery, write_attacked_set
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.gallery_and_queries import query_part
from pipeline_lib.params.attacks import Attack
from pipeline_lib.params.load import read_entry
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from tests.networks.embedding.fitted_networks import SPECS, network, write_set

# Three people of three images, and one who is alone.
KEYS = [f"im{number:02d}" for number in range(12)]
SPLITS = ["train"] * 2 + ["test"] * 10
SETTINGS = Attack(network="it", epsilon=6, num_steps=2, step_size=3.0, max_query_images=4, seed=1)


@pytest.fixture(scope="module")
def aligned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    folder = tmp_path_factory.mktemp("attack") / "align"
    return folder, write_set(folder, KEYS, SPLITS)


def test_queries_are_drawn_among_those_with_company_and_meet_the_others_of_their_person(aligned) -> None:
    folder, faces = aligned
    model, images = network(SPECS["iresnet"]), ShardImages(folder)
    gallery = [row for row in range(2, 12) if row != 4]  # id00 has im02 alone, id01 im03 and im05
    rows, own = own_gallery(images, gallery, model, True, SETTINGS)
    possible = [KEYS[row] for row in gallery if row != 2]
    assert [KEYS[row] for row in rows] == sorted(query_images(1, possible, 4))
    assert own.dtype == np.float32
    vectors = unit(embed_images(model, faces, True, 4)[0])
    for row, mean in zip(rows, own, strict=True):
        others = [other for other in gallery if other // 3 == row // 3 and other != row]
        np.testing.assert_allclose(mean, vectors[others].mean(axis=0), atol=1e-5)
    everyone, _ = own_gallery(images, gallery, model, True, SETTINGS.model_copy(update={"max_query_images": None}))
    assert [KEYS[row] for row in everyone] == possible


def test_nobody_with_company_is_an_error(aligned) -> None:
    with pytest.raises(DataError, match=r"No query can be attacked[\s\S]*3 images of 3 identities"):
        own_gallery(ShardImages(aligned[0]), [2, 5, 8], network(SPECS["iresnet"]), True, SETTINGS)


def test_the_set_is_the_same_again_and_a_larger_one_adds(aligned, tmp_path: Path) -> None:
    folder, _ = aligned
    model = network(SPECS["iresnet"]).requires_grad_(False)
    found = {}
    for name, number in (("a", 4), ("b", 4), ("c", None)):
        settings = SETTINGS.model_copy(update={"max_query_images": number})
        (tmp_path / name).mkdir()
        _, done = write_attacked_set(folder, list(range(2, 12)), tmp_path / name, "adversarial", model, False, settings)
        found[name] = {row["key"]: row["drawn"] for row in done.to_pylist()}
    tars = [(tmp_path / name / "attacked-000000.tar").read_bytes() for name in "ab"]
    assert tars[0] == tars[1]
    assert found["a"] == found["b"]
    assert set(found["a"]) < set(found["c"]) == {f"{key}+adversarial" for key in KEYS[3:]}


@contextmanager
def no_run(*_: object, **__: object) -> Iterator[object]:
    yield type("Run", (), {"log_metrics": staticmethod(lambda figures: None)})


def test_the_stage(aligned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A profile is in no gallery: it is neither attacked nor met."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages.attack, "stage_run", no_run)
    entry = {**SETTINGS.model_dump(), "max_query_images": None}
    Path("params.yaml").write_text(yaml.safe_dump({"embed": {"mirror": True}, "attacks": {"adversarial_it": entry}}))
    profile = {"key": "im05+profile", "image_id": "im05", "kind": "profile", "purpose": "query", "drawn": "{}"}
    write_table(Path("occlusions.parquet"), table_from_rows([profile], OCCLUSIONS), OCCLUSIONS)
    save_network(Path("networks/it"), network(SPECS["iresnet"]))
    folder, faces = aligned
    stages.attack.main("adversarial_it", Path("networks/it"), folder, Path("occlusions.parquet"), Path("out"))
    rows = read_table(Path("out/occlusions.parquet"), OCCLUSIONS).to_pylist()
    assert [row["image_id"] for row in rows] == [key for key in KEYS[3:] if key != "im05"]
    assert {(row["kind"], row["purpose"]) for row in rows} == {("adversarial_it", "query")}
    part = query_part(Path("out"))
    assert part.kinds == ["adversarial_it"] * len(rows)
    pictures = part.images.read(part.rows)
    for row, picture in zip(rows, pictures, strict=True):
        said = json.loads(row["drawn"])
        change = np.abs(picture.astype(int) - faces[KEYS.index(row["image_id"])]).max()
        assert said["largest_change"] == change <= said["epsilon"] == 6
        assert said["cosine_after"] < said["cosine_before"]
    assert part.images.identities[0] == "id01"


@pytest.mark.parametrize(
    ("key", "value"), [("epsilon", 0), ("epsilon", 1.5), ("epsilon", 300), ("num_steps", 0), ("step_size", 0)]
)
def test_settings_that_are_not_possible(tmp_path: Path, key: str, value: object) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"attacks": {"adversarial": {**SETTINGS.model_dump(), key: value}}}))
    with pytest.raises(ParamsError, match=rf"{key}[\s\S]*attacks\.adversarial"):
        read_entry("attacks", "adversarial", Attack, path)
