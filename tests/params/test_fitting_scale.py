"""The scale for who names none: what few people get, what an explicit scale says, and what no scale can take."""

from pathlib import Path

import pytest
from dvc.utils.hydra import compose_and_dump

from pipeline_lib.check_photos import check_photos
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.splits import TooFewPeople
from pipeline_lib.fitting_scale import fitting_scale
from pipeline_lib.params.whole import Params, load_params


@pytest.fixture
def composed(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Of data=image_folder scale=small, with photographs in tmp_path/photos."""
    return compose(repository, tmp_path, monkeypatch, "small")


def compose(repository: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, scale: str) -> Params:
    monkeypatch.setenv("FACES_DIR", str(folder / "photos"))
    (folder / "photos").mkdir(exist_ok=True)
    path = folder / "params.yaml"
    groups = ["data=image_folder", f"scale={scale}"]
    compose_and_dump(str(path), str(repository / "conf"), None, "config", None, groups)
    return load_params(path)


def fill(folder: Path, *num_photos: int) -> None:
    """One person for each number, who has so many photographs."""
    for person, num in enumerate(num_photos):
        (folder / f"photos/p{person:02d}").mkdir(parents=True)
        for photo in range(num):
            (folder / f"photos/p{person:02d}/{photo}.jpg").touch()


@pytest.mark.parametrize(
    ("num_photos", "scale"),
    [
        ((2, 2), "untrained"),
        ((3, 1), "untrained"),
        ((4, 3, 2), "untrained"),
        ((4,) * 5, "untrained"),
        ((4,) * 12, "untrained"),
        ((4,) * 40, "small"),
    ],
)
def test_how_many_people_it_takes(
    composed: Params,
    repository: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    num_photos: tuple[int, ...],
    scale: str,
) -> None:
    fill(tmp_path, *num_photos)
    found, reason = fitting_scale("small", composed, tmp_path)
    assert found == scale
    if scale == "small":
        assert reason == ""
    else:
        assert reason.startswith(f"{len(num_photos)} people ({sum(num_photos)} photographs) are too few to train on")
        for words in ("where: ", "dlib_resnet", "Left out are training", "SCALE=small insists"):
            assert words in reason
    check_photos(compose(repository, tmp_path, monkeypatch, found), tmp_path)  # and what was found does


@pytest.mark.parametrize(
    ("num_photos", "key"),
    [((4, 3, 2), r"ingest\.test_share, ingest\.val_share"), ((4,) * 12, r"num_cross_validation_folds")],
)
def test_an_explicit_scale_is_an_error_that_names_the_key_and_what_would_do(
    composed: Params, tmp_path: Path, num_photos: tuple[int, ...], key: str
) -> None:
    fill(tmp_path, *num_photos)
    with pytest.raises(TooFewPeople, match=rf"{key}[\s\S]*SCALE=untrained"):
        check_photos(composed, tmp_path)


@pytest.mark.parametrize("scale", ["small", "untrained"])
@pytest.mark.parametrize("num_photos", [(1,), (5,), (1, 1), (2, 1), (1,) * 40])
def test_nobody_can_be_told_apart(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scale: str, num_photos: tuple[int, ...]
) -> None:
    """One person makes no impostor pair, one photograph each no genuine pair, and one genuine pair no two folds."""
    fill(tmp_path, *num_photos)
    params = compose(repository, tmp_path, monkeypatch, scale)
    with pytest.raises(TooFewPeople, match=rf"too few[\s\S]*{len(num_photos)} identities"):
        fitting_scale("small", params, tmp_path)
    with pytest.raises(TooFewPeople):
        check_photos(params, tmp_path)


def test_an_empty_folder_and_none(composed: Params, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no identity folder"):
        fitting_scale("small", composed, tmp_path)
    (tmp_path / "photos").rmdir()
    with pytest.raises(DataError, match="cannot be read"):
        fitting_scale("small", composed, tmp_path)


def test_folders_without_photographs(composed: Params, tmp_path: Path) -> None:
    fill(tmp_path, 0, 0, 0)
    (tmp_path / "photos/p00/notes.txt").touch()
    with pytest.raises(DataError, match=r"holds no photographs[\s\S]*\.txt 1"):
        fitting_scale("small", composed, tmp_path)


def test_without_a_published_network_there_is_nothing_to_take(composed: Params, tmp_path: Path) -> None:
    fill(tmp_path, 4, 4, 4)
    own = {name: network for name, network in composed.networks.items() if network.epochs}
    params = composed.model_copy(update={"networks": own})
    with pytest.raises(TooFewPeople) as caught:
        fitting_scale("small", params, tmp_path)
    assert "untrained" not in str(caught.value)
