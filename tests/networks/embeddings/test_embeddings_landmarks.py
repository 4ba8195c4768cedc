"""Landmarks beside a gallery: those of the pictures asked for, in their order, and inside the face."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.detection.landmarks68 import Landmarks68
from pipeline_lib.networks.embeddings import embed_shards
from pipeline_lib.networks.embeddings.embed_shards import Part, write_landmarks
from pipeline_lib.networks.embeddings.landmarks import LANDMARKS_FILE, read_landmarks


class Numbers:
    """Stands in for ShardImages: image number n is grey of value n."""

    keys = tuple(f"image{n}" for n in range(20))

    def read(self, rows: list[int]) -> np.ndarray:
        return np.stack([np.full((112, 112, 3), row, np.uint8) for row in rows])


def find(images: np.ndarray) -> np.ndarray:
    return images[:, 0, 0, :1].astype(np.float32)[:, :, None].repeat(68, axis=1).repeat(2, axis=2)


def test_landmarks_are_those_of_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_shards, "LANDMARKS_AT_ONCE", 3)
    write_landmarks(tmp_path, [Part(Numbers(), [4, 2, 9, 11]), Part(Numbers(), [7])], find)  # type: ignore[arg-type]
    found = read_landmarks(tmp_path, ["image7", "image2"])
    assert found is not None
    assert found.shape == (2, 68, 2)
    assert found[:, 0, 0].tolist() == [7, 2]
    with pytest.raises(DataError, match=r"no landmarks[\s\S]*image3"):
        read_landmarks(tmp_path, ["image3"])
    (tmp_path / LANDMARKS_FILE).write_bytes(b"ARROW1")
    with pytest.raises(DataError, match="damaged"):
        read_landmarks(tmp_path, ["image7"])
    assert read_landmarks(tmp_path / "none", ["image7"]) is None


@pytest.mark.faces
def test_they_lie_on_the_face(faces_dir: Path) -> None:
    """Of an aligned face, eyes and mouth are within a tenth of the crop of where the alignment puts them."""
    from pipeline_lib.core.geometry import TEMPLATE
    from pipeline_lib.data.faces.align_photo import align_photo
    from pipeline_lib.data.faces.detection.build import make_detector
    from pipeline_lib.data.photos.photo import decode_photo

    photo = sorted((faces_dir / "lfw/images").glob("*/*.jpg"))[0]
    face = align_photo(decode_photo(photo.read_bytes(), 10**8), make_detector("dlib", None, 0.0, 40), "largest", 40)[0]
    (points,) = Landmarks68()(face[None])
    middles = [points[36:42].mean(axis=0), points[42:48].mean(axis=0), points[48:68].mean(axis=0)]
    wanted = [TEMPLATE[0], TEMPLATE[1], TEMPLATE[3:].mean(axis=0)]
    assert np.abs(np.array(middles) - np.array(wanted)).max() < 11
