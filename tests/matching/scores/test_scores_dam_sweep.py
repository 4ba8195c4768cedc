"""DAM's sweep: each column is DAM-R with the value that its name says, and anchors are searched once."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.matching.dam.dam import nearest_cosines
from pipeline_lib.matching.scores import dam_sweep
from pipeline_lib.matching.scores.dam import DamR
from pipeline_lib.matching.scores.dam_sweep import Neighbours
from pipeline_lib.matching.scores.shared.faces import Faces
from tests.matching.scores.made import ENTRIES, NUM, opened, scored, write_data

VALUES = {"num_neighbours": [1, 3, 6], "scales": [0.5, 1, 8], "num_anchors": [3, 5], "seed": 4}


@pytest.fixture(autouse=True)
def _entry(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {"kind": "dam_sweep", "of": "embed/net", "with": "anchors/real", **VALUES}
    monkeypatch.setitem(ENTRIES, "sweep", entry)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_columns_are_dam_r_with_their_values(data: Path) -> None:
    anchors = opened(data, "dam")["dam:r"]
    assert isinstance(anchors, DamR)
    drawn = anchors.anchors[np.random.default_rng(4).permutation(6)]
    faces = np.random.default_rng(0).normal(size=(2, 9, 6)).astype(np.float32)
    a, b = (Faces(vectors=side) for side in faces)
    wanted = {
        **{f"sweep:k={k}": (drawn, k, 1.0) for k in (1, 3, 6)},
        **{f"sweep:s={s:g}": (drawn, 3, s) for s in (0.5, 1, 8)},
        **{f"sweep:a={size}": (drawn[:size], 3, 1.0) for size in (3, 5)},
    }
    columns = opened(data, "sweep")
    assert list(columns) == list(wanted)
    for name, (some, k, scale) in wanted.items():
        expected = DamR("net", scale, "sum", some, k).score(a, b)
        np.testing.assert_allclose(columns[name].score(a, b), expected, atol=1e-6)  # float32 products of other blocks
        assert not columns[name].in_headline


def test_the_anchors_own_values_give_the_column_of_kind_dam(data: Path) -> None:
    table, dam = scored(data, "sweep"), scored(data, "dam")["dam:r"]
    np.testing.assert_allclose(table["sweep:k=3"], dam, atol=1e-6)
    np.testing.assert_array_equal(table["sweep:s=1"], table["sweep:k=3"])


def test_nested_sets_find_what_each_of_them_holds_and_every_anchor_is_met_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    anchors, faces = unit(rng.normal(size=(40, 5))), rng.normal(size=(2, 12, 5)).astype(np.float32)
    met: list[int] = []

    def counted(vectors: Floats, some: Floats, num_neighbours: int) -> Floats:
        met.append(len(some))
        return nearest_cosines(vectors, some, num_neighbours)

    monkeypatch.setattr(dam_sweep, "nearest_cosines", counted)
    neighbours = Neighbours(anchors, [4, 17, 17], 10)
    for size in (4, 17, 40):
        for side in (*faces, *faces):
            brute = -np.sort(-(unit(side) @ anchors[:size].T), axis=1)[:, :10]
            np.testing.assert_allclose(neighbours.cosines(side.copy(), size), brute, atol=1e-6)
    assert met == 2 * [4, 13, 23]


def test_values_that_the_anchors_do_not_allow_are_left_out_and_said(
    data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    changed = {"num_neighbours": [6, 7], "scales": [], "num_anchors": [2, 6, 7]}
    assert list(opened(data, "sweep", **changed)) == ["sweep:k=6", "sweep:a=6"]
    assert "6 anchors do not allow k=7, a=2, a=7 of a sweep" in caplog.text
    with pytest.raises(DataError, match="allow no value of a sweep"):
        opened(data, "sweep", num_neighbours=[NUM], scales=[], num_anchors=[])
    for wrong in ({"scales": [0.0]}, {"num_neighbours": [0]}, {"seed": -1}, {"k": [1]}):
        with pytest.raises(ParamsError, match=str(next(iter(wrong)))):
            opened(data, "sweep", **wrong)


def test_a_column_of_a_sweep_is_no_model(data: Path) -> None:
    with pytest.raises(DataError, match="no model"):
        opened(data, "sweep")["sweep:k=1"].state()
