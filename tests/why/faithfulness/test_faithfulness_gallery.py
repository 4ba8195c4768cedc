"""The gallery: which pairs are in it, both formats, the same bytes again, and none."""

import numpy as np
import pytest

from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.map_file import open_maps
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair
from pipeline_lib.why.faithfulness import gallery

GAINS = {"p": 0.1, "q": 0.7, "r": -0.2, "s": 0.3, "t": 0.2}  # insertion less deletion


@pytest.fixture
def entry(tmp_path):
    """A folder as explain@ leaves it: a genuine pair of each person, and an impostor pair of the same images."""
    rng = np.random.default_rng(0)
    with open_maps(tmp_path / "maps.arrow") as maps:
        for genuine in (True, False):
            for person in GAINS:
                found = Explanation(rng.normal(size=(2, 112, 112)).astype(np.float32), 0.5)
                people = (person, person if genuine else "x")
                pair = SampledPair("lfw", f"{person}0", f"{person}1", *people, genuine, 0, True, False, 0)
                maps.write(pair, found)
    areas = {"deletion_auc": 0.2, "insertion_grey_auc": 0.0, "deletion_blur_auc": 0.0, "same_position_share": None}
    rows = [
        {"protocol": "lfw", "image_a": f"{person}0", "image_b": f"{person}1", "identity": person, "method": "m"}
        | areas
        | {"insertion_auc": 0.2 + gain}
        for person, gain in GAINS.items()
    ]
    write_table(tmp_path / "faithfulness.parquet", table_from_rows(rows, FAITHFULNESS), FAITHFULNESS)
    return tmp_path


def faces_of(asked):
    def read(a, b):
        asked.append((a, b))
        return np.full((2, 112, 112, 3), 100, np.uint8)

    return read


def test_the_best_the_middle_and_the_worst_pair(entry, monkeypatch):
    asked, drawn = [], []
    monkeypatch.setattr(gallery, "_drawn", lambda faces, maps, texts: drawn.extend(texts) or {})
    gallery.write_gallery(entry, faces_of(asked))
    assert asked == [("q0", "q1"), ("t0", "t1"), ("r0", "r1")]
    assert [text.split()[0] for text in drawn] == ["best", "median", "worst"]
    assert "insertion 0.900" in drawn[0]


def test_both_formats_are_the_same_again_and_name_nobody(entry):
    gallery.write_gallery(entry, faces_of([]))
    files = {path.name: path.read_bytes() for path in (entry / "gallery").iterdir()}
    assert set(files) == {"gallery.png", "gallery.svg"}
    assert decode_image(files["gallery.png"]).shape[2] == 3
    assert b"q0" not in files["gallery.svg"].split(b"base64")[0]
    gallery.write_gallery(entry, faces_of([]))
    assert {path.name: path.read_bytes() for path in (entry / "gallery").iterdir()} == files


def test_no_measured_pair_is_an_empty_folder(tmp_path):
    write_table(tmp_path / "faithfulness.parquet", table_from_rows([], FAITHFULNESS), FAITHFULNESS)
    gallery.write_gallery(tmp_path, faces_of([]))
    assert list((tmp_path / "gallery").iterdir()) == []
