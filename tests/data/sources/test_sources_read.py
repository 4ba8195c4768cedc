"""Every configured source goes through its own reader; the synthetic one leaves its photographs whole where they belong."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.sources import synthetic
from pipeline_lib.data.sources.shared.read import read_sources
from pipeline_lib.data.sources.shared.records import SourceFaces
from pipeline_lib.params.ingest import Source, Synthetic

SECTIONS = {
    "synthetic": {
        "num_identities": 2,
        "images_per_identity": 2,
        "size_px": 96,
        "two_faces_share": 0.0,
        "no_face_share": 0.0,
        "seed": 1,
    }
}


def source(kind: str, path: str) -> Source:
    return Source.model_validate({"kind": kind, "path": path, "split": "by_identity"})


def test_synthetic_is_rendered_and_the_others_are_read(tmp_path: Path) -> None:
    (tmp_path / "root/mine/ann").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "root/mine/ann/1.png")
    photos = tmp_path / "out/photos"
    (_, rendered), (_, mine) = read_sources(
        [source("synthetic", ""), source("image_folder", "mine")], SECTIONS, tmp_path / "root", photos
    )
    assert len(rendered.photos) == 4
    assert all(
        path.is_relative_to(photos) and path.is_file() for path in (Path(photo.path) for photo in rendered.photos)
    )
    assert [photo.path for photo in mine.photos] == [str(tmp_path / "root/mine/ann/1.png")]
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_without_a_synthetic_source_the_folder_is_empty(tmp_path: Path) -> None:
    (tmp_path / "mine/ann").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "mine/ann/1.png")
    read_sources([source("image_folder", "mine")], SECTIONS, tmp_path, tmp_path / "photos")
    assert list((tmp_path / "photos").iterdir()) == []


def test_a_killed_rendering_leaves_nothing_and_the_rerun_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_: Synthetic, folder: Path) -> SourceFaces:
        folder.mkdir()
        (folder / "half.png").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(synthetic, "make", killed)
        with pytest.raises(KeyboardInterrupt):
            read_sources([source("synthetic", "")], SECTIONS, tmp_path, tmp_path / "out/photos")
    assert list((tmp_path / "out").iterdir()) == []
    (tmp_path / "out/.photos.partial").mkdir()  # what a process leaves that could not clean up
    (tmp_path / "out/.photos.partial/half.png").write_bytes(b"half")
    ((_, faces),) = read_sources([source("synthetic", "")], SECTIONS, tmp_path, tmp_path / "out/photos")
    assert len(faces.photos) == 4
    assert not list((tmp_path / "out").rglob("half.png"))


@pytest.mark.parametrize("places", [[("lfw", "a"), ("lfw", "a")], [("synthetic", ""), ("synthetic", "b")]])
def test_a_source_twice(tmp_path: Path, places: list[tuple[str, str]]) -> None:
    with pytest.raises(DataError, match="given twice"):
        read_sources([source(*place) for place in places], SECTIONS, tmp_path, tmp_path / "photos")


def test_a_kind_that_does_not_exist(tmp_path: Path) -> None:
    kinds = "cfp, ijb, image_folder, lfw, parquet, recordio, synthetic, verification_bin, webdataset, ytf"
    with pytest.raises(ParamsError, match=rf"no such kind[\s\S]*webface[\s\S]*{kinds}"):
        read_sources([source("webface", "a")], {}, tmp_path, tmp_path / "photos")


def test_wrong_settings_of_a_kind_name_their_section(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"seeds: Extra[\s\S]*params\.yaml, synthetic"):
        read_sources([source("synthetic", "")], {"synthetic": {"seeds": 1}}, tmp_path, tmp_path / "photos")
