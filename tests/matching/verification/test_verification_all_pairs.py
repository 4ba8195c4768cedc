"""All pairs in blocks against all of them at once: counts are equal, whatever the blocks."""

import itertools

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import roc_curve, tar_at_far
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.verification import all_pairs
from pipeline_lib.matching.verification.all_pairs import AllPairs, cosine_blocks, count_all_pairs, dam_blocks, tars

NUM = 60


@pytest.fixture(params=[50, 10**6], ids=["blocks of a row", "one block"])
def _block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_pairs, "SCORES_AT_ONCE", request.param)


def faces(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """People of one to six faces, in a shuffled order; the entries are few numbers, so that cosines tie."""
    rng = np.random.default_rng(seed)
    owners = rng.permutation(np.repeat(np.arange(30), rng.integers(1, 7, 30))[:NUM])
    centres = rng.integers(-1, 2, size=(30, 4))
    return centres[owners] + rng.integers(-1, 2, size=(len(owners), 4)) + 0.1, owners


def looped(vectors: np.ndarray, owners: np.ndarray, score: object = None) -> tuple[np.ndarray, np.ndarray]:
    """Every pair's score and whether it is genuine, one after the other."""
    pairs = list(itertools.combinations(range(len(owners)), 2))
    return np.array([score(a, b) for a, b in pairs]), np.array([owners[a] == owners[b] for a, b in pairs])  # type: ignore[operator]


@pytest.mark.usefixtures("_block_size")
@pytest.mark.parametrize("form", ["cosine", "sum", "product"])
@pytest.mark.parametrize("seed", [0, 1])
def test_tar_and_curve_are_those_of_all_pairs_at_once(form: str, seed: int) -> None:
    vectors, owners = faces(seed)
    anchors = np.random.default_rng(2).normal(size=(9, 4))
    lids = log_lid(nearest_cosines(vectors, anchors, 3), 2.0)
    # the blocks' own products, one pair each: a sum over four numbers in another order may break a tie
    cosines = cosine_blocks(vectors)(slice(None), slice(None))
    if form == "cosine":
        blocks, score = (lambda rows, columns: cosines[rows, columns]), (lambda a, b: cosines[a, b])
    else:
        blocks = dam_blocks(vectors, lids, 2.0, product=form == "product")
        whole = blocks(slice(None), slice(None))
        by_pair = log_dam(cosines[3, 7], lids[3], lids[7], 2.0, product=form == "product")
        assert whole[3, 7] == pytest.approx(float(by_pair), abs=1e-6)
        blocks, score = (lambda rows, columns: whole[rows, columns]), (lambda a, b: whole[a, b])
    values, genuine = looped(vectors, owners, score)
    roc, found = roc_curve(values, genuine), count_all_pairs(blocks, owners, max_rate=0.4)
    assert (len(found.genuine), found.num_impostor) == (roc.num_genuine, roc.num_impostor)
    for rate in (0.4, 0.1, 0.037, 0.01, 1 / roc.num_impostor, 0.9 / roc.num_impostor):
        assert found.tar(rate) == pytest.approx(tar_at_far(roc, rate), abs=1e-15)
    far, tar = found.curve()
    assert (np.diff(far) >= 0).all()
    assert (np.diff(tar) >= 0).all()
    assert far[-1] > 0.9
    points = {(round(x, 12), round(y, 12)) for x, y in zip(roc.far, roc.tar, strict=True)}
    missing = [(x, y) for x, y in zip(far, tar, strict=True) if (round(x, 12), round(y, 12)) not in points]
    # Just above an impostor that a genuine pair equals the curve has no corner of its own, but the TAR is one that is reached.
    assert all(y == pytest.approx(roc.tar[roc.far <= x + 1e-12][-1]) for x, y in missing)


def test_golden() -> None:
    """Impostors at 0.9, 0.5, 0.5, 0.1, 0.0, genuine at 0.8 and 0.5: one false accept in five lets 0.8 through, not 0.5."""
    scores = np.array([0.9, 0.5, 0.5, 0.1, 0.0], np.float32)
    found = AllPairs(np.array([0.5, 0.8], np.float32), 5, scores, scores[::-1], np.array([5, 4, 3, 3, 1]))
    assert [found.tar(rate) for rate in (0.2, 0.4, 0.6, 0.8)] == [0.5, 0.5, 1.0, 1.0]
    assert found.tar(0.19) is None
    assert tars(found, [0.1, 0.2]) == {"tar@0.2": 0.5}
    with pytest.raises(DataError, match=r"counted for[\s\S]*below 1"):
        found.tar(1.0)


def test_only_the_highest_are_kept_and_counts_know_all() -> None:
    vectors, owners = faces(3)
    found = count_all_pairs(cosine_blocks(vectors), owners, max_rate=0.01)
    assert len(found.highest) == int(0.01 * found.num_impostor) + 1
    assert found.num_accepted[0] == found.num_impostor  # the lowest threshold is the lowest score: here of one block
    assert (np.diff(found.num_accepted) <= 0).all()


@pytest.mark.parametrize("owners", [[0, 0, 0], [0, 1, 2], [0], []])
def test_one_class_alone_is_refused(owners: list[int]) -> None:
    with pytest.raises(DataError, match="two faces of a person, and two people"):
        count_all_pairs(cosine_blocks(np.eye(4)), np.array(owners, np.int64), 0.1)
