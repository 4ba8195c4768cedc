"""Cohort normalisation: by hand, against a loop, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.scores.cohort import Cohort
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.matching.scores.shared.saved import load_scorer, save_scorer
from tests.matching.scores.made import ENTRIES, PAIR_ROWS, opened, scored, write_data


@pytest.fixture(autouse=True)
def _entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the entries that can be opened while these tests run."""
    monkeypatch.setitem(ENTRIES, "cohort", {"kind": "cohort", "of": "embed/net", "with": "anchors/real", "top_k": 4})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_worked_by_hand() -> None:
    """a = (1,0), b = (0.6,0.8); anchors at 0.8, 0.6 and -1 from a: its two nearest have mean 0.7 and spread 0.1; of b 0.96, 1."""
    anchors = np.array([[0.8, 0.6], [0.6, 0.8], [-1, 0]], np.float32)
    a, b = Faces(vectors=np.array([[2.0, 0]], np.float32)), Faces(vectors=np.array([[0.6, 0.8]], np.float32))
    z, t, s = ((Cohort("net", anchors, 2, form).score(a, b)).item() for form in ("z", "t", "s"))
    assert z == pytest.approx((0.6 - 0.7) / 0.1, abs=1e-4)  # float32 cosines over a spread of 0.1 and 0.02
    assert t == pytest.approx((0.6 - 0.98) / 0.02, abs=1e-3)
    assert s == pytest.approx((z + t) / 2, abs=1e-5)
    assert Cohort("net", anchors, 2, "z").score(b, a).item() == pytest.approx(t, abs=1e-6)
    assert Cohort("net", anchors, 2, "s").score(b, a).item() == pytest.approx(s, abs=1e-6)


def test_equals_a_loop_over_pairs_and_anchors() -> None:
    rng = np.random.default_rng(0)
    anchors, a, b = unit(rng.normal(size=(30, 8))), rng.normal(size=(12, 8)), rng.normal(size=(12, 8))
    found = Cohort("net", anchors, 7, "s").score(
        Faces(vectors=a.astype(np.float32)), Faces(vectors=b.astype(np.float32))
    )
    for row in range(12):
        sides = []
        for face in (a[row], b[row]):
            near = sorted((float(face @ anchor / np.linalg.norm(face)) for anchor in anchors), reverse=True)[:7]
            cos = float(a[row] @ b[row] / np.linalg.norm(a[row]) / np.linalg.norm(b[row]))
            sides.append((cos - np.mean(near)) / np.std(near))
        assert found[row] == pytest.approx(np.mean(sides), abs=1e-4)  # float32 cosines over spreads of 0.1


def test_the_table_and_a_served_model_agree(data: Path, tmp_path: Path) -> None:
    table = scored(data, "cohort")
    assert list(table) == ["cohort:z", "cohort:t", "cohort:s"]
    np.testing.assert_allclose(table["cohort:s"], (table["cohort:z"] + table["cohort:t"]) / 2, atol=1e-5)
    for column, scorer in opened(data, "cohort").items():
        save_scorer(tmp_path / column, scorer)
        assert load_scorer(tmp_path / column).state()["form"] == column[-1]
        assert len(table[column]) == len(PAIR_ROWS)


def test_what_has_no_cohort_is_refused(data: Path) -> None:
    for top_k in (1, 7):
        with pytest.raises(DataError, match=f"too few faces[\\s\\S]*top_k {top_k} of 6 anchors"):
            scored(data, "cohort", top_k=top_k)
    alike = np.tile(np.array([[1.0, 0]], np.float32), (3, 1))
    face = Faces(vectors=np.array([[0.0, 1]], np.float32))
    with pytest.raises(DataError, match="equally near"):
        Cohort("net", alike, 3, "s").score(face, face)
