"""The photographs held against the parameters before the first stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline_lib.check_photos import People, check_people, check_photos
from pipeline_lib.core.errors import DataError
from pipeline_lib.params.whole import Params, check_sections

Make = Callable[..., Params]


@pytest.fixture
def params(repository: Path) -> Make:
    """The repository's parameters on an image folder, with some keys changed."""

    def make(**changes: object) -> Params:
        document: Any = yaml.safe_load((repository / "params.yaml").read_text())
        document["ingest"]["sources"] = [{"kind": "image_folder", "path": "", "split": "by_identity"}]
        for keys, value in changes.items():
            *way, last = keys.split("__")
            section = document
            for key in way:
                section = section[key]
            section[last] = value
        return check_sections(document, "params.yaml")

    return make


def fill(root: Path, num_people: int, num_photos: int = 4) -> Path:
    for person in range(num_people):
        (root / f"data/raw/p{person:02d}").mkdir(parents=True)
        for photo in range(num_photos):
            (root / f"data/raw/p{person:02d}/{photo}.jpg").touch()
    return root


@pytest.mark.parametrize(
    ("num_people", "message"),
    [
        (4, r"too few identities for the shares[\s\S]*4 identities to draw from: 2 for test, 2 for val, 0 to train on"),
        (5, r"too few identities for the shares[\s\S]*1 to train on"),
        (12, r"two training identities for each of 5 folds[\s\S]*logistic\.num_cross_validation_folds"),
        (18, r"10 training identities beside one's own[\s\S]*anchors\.real\.num_neighbours"),
    ],
)
def test_too_few_people_are_named_with_the_key_that_wants_more(
    params: Make, tmp_path: Path, num_people: int, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        check_photos(params(), fill(tmp_path, num_people))


def test_enough_people_pass_and_nothing_is_written(params: Make, tmp_path: Path) -> None:
    fill(tmp_path, 24)
    before = sorted(tmp_path.rglob("*"))
    check_photos(params(), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_demo_passes_unrendered(params: Make, tmp_path: Path) -> None:
    synthetic = [{"kind": "synthetic", "path": "", "split": "by_identity"}]
    check_photos(params(ingest__sources=synthetic), tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(DataError, match="too few identities"):
        check_photos(params(ingest__sources=synthetic, synthetic__num_identities=5), tmp_path)


def test_a_source_that_is_not_here_yet_is_left_to_ingest(params: Make, tmp_path: Path) -> None:
    check_photos(params(ingest__sources=[{"kind": "lfw", "path": "lfw", "split": "test"}]), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_bad_entries_and_split_folders(params: Make, tmp_path: Path) -> None:
    for split in ("train", "test"):
        fill(tmp_path / split, 12)
        (tmp_path / split / "data/raw").rename(tmp_path / f"{split}ed")
    (tmp_path / "data/raw").mkdir(parents=True)
    (tmp_path / "trained").rename(tmp_path / "data/raw/train")
    (tmp_path / "tested").rename(tmp_path / "data/raw/test")
    for person in range(12):
        (tmp_path / f"data/raw/test/p{person:02d}").rename(tmp_path / f"data/raw/test/q{person:02d}")
    with pytest.raises(DataError, match=r"Nobody is in val[\s\S]*train 12, val 0, test 12[\s\S]*ingest\.val_share"):
        check_photos(params(), tmp_path)
    (tmp_path / "data/raw/train/p00/gone.jpg").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"gone\.jpg \(a link that leads nowhere\)"):
        check_photos(params(), tmp_path)


MANY = People(50, 50, 500)


@pytest.mark.parametrize(
    ("people", "changes", "message"),
    [
        ({"train": People(1, 1, 100)}, {}, r"two identities to train on[\s\S]*networks\.iresnet"),
        ({"train": People(20, 5, 12)}, {}, r"16 photographs to train on, a batch of networks\.iresnet[\s\S]*train\.batch_size"),
        ({"train": People(20, 5, 14)}, {}, r"16 photographs to train on, a batch of regions\.network"),  # 14 + 3 occluded
        ({"train": People(20, 4, 99)}, {}, r"two training identities for each of 5 folds"),
        ({"train": People(10, 10, 99)}, {}, r"anchors\.real"),
        ({"test": People(20, 0, 20)}, {}, r"a genuine and an impostor test pair[\s\S]*explanations\.rrfnet56_additive"),
        ({"test": People(20, 0, 20)}, {"explanations": {}}, r"a test identity with two photographs[\s\S]*rerank\.uniform"),
        ({"test": People(0, 0, 0), "val": People(0, 0, 0)}, {}, r"identities in val or test"),
    ],
)  # fmt: skip
def test_what_later_stages_need(
    params: Make, people: dict[str, People], changes: dict[str, object], message: str
) -> None:
    check_people(params(), dict.fromkeys(("train", "val", "test"), MANY))
    with pytest.raises(DataError, match=message):
        check_people(params(**changes), {"train": MANY, "val": MANY, "test": MANY, **people})


def test_anchors_of_others_need_training_people_for_the_regressor_alone(params: Make) -> None:
    of_others = {"anchors__real__kind": "folder", "anchors__real__from": "strangers"}
    check_people(params(**of_others), {"train": People(10, 10, 99), "val": MANY, "test": MANY})


def test_what_is_not_asked_for_needs_nobody(params: Make) -> None:
    nobody = People(0, 0, 0)
    names = ("networks", "networks_over", "anchors", "scores", "rerank", "explanations", "galleries")
    empty = {name: {} for name in names} | {"regions": {"alone": {}, "margin_px": 5}}
    check_people(params(**empty), {"train": nobody, "val": nobody, "test": nobody})
