"""What DAM's figures are drawn from, against loops and by hand."""

import numpy as np
import pytest
from made_run import FAIR, GOOD, write_about, write_run

from pipeline_lib.core.cosine import cosine, unit
from pipeline_lib.delivery.claims.evidence import scores_evidence
from pipeline_lib.delivery.report.dam_curves import (
    OwnClass,
    distance,
    falling_cosines,
    overlap,
    sweep_curves,
    two_people,
)
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.scores.shared.table import read_scores


def faces() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ten people of 6 to 12 images at different spreads, in any order, and 20 anchors."""
    rng = np.random.default_rng(0)
    owners = rng.permutation(np.repeat(np.arange(10), [6, 12, 9, 8, 8, 10, 11, 9, 8, 7]))
    spreads = np.linspace(0.2, 1.5, 10)
    vectors = rng.normal(size=(10, 12))[owners] + 1.0 + spreads[owners, None] * rng.normal(size=(len(owners), 12))
    return vectors, owners, unit(rng.normal(size=(20, 12)) + 1.0)


def test_two_people_are_those_of_the_rule_and_their_scores_those_of_every_pair() -> None:
    vectors, owners, anchors = faces()
    found = two_people(vectors, owners, anchors, 4, 2.0)
    assert found is not None
    levels = {}
    for person in range(10):
        own, others = vectors[owners == person], vectors[owners != person]
        inner = [float(cosine(a, b)) for i, a in enumerate(own) for b in own[:i]]
        outer = [float(cosine(a, b)) for a in own for b in others]
        if len(own) >= 8:
            levels[person] = inner, outer
    margins = {person: np.mean(inner) - np.mean(outer) for person, (inner, outer) in levels.items()}
    low, high = np.percentile(list(margins.values()), [25, 75])
    middle = [person for person, margin in margins.items() if low <= margin <= high]
    highest, lowest = (pick(middle, key=lambda each: np.mean(levels[each][0])) for pick in (max, min))
    for person, chosen in zip(found, (highest, lowest), strict=True):
        for place, side in enumerate((person.genuine, person.impostor)):
            np.testing.assert_allclose(np.sort(side[0]), np.sort(levels[chosen][place]), atol=1e-6)
    own, others = vectors[owners == highest], vectors[owners != highest]
    lids = [log_lid(nearest_cosines(each, anchors, 4), 2.0) for each in (own, others)]
    expected = [
        log_dam(cosine(a, b), x, y, 2.0)
        for a, x in zip(own, lids[0], strict=True)
        for b, y in zip(others, lids[1], strict=True)
    ]
    np.testing.assert_allclose(np.sort(found[0].impostor[1]), np.sort(expected), atol=1e-5)
    assert two_people(vectors, np.arange(len(vectors)), anchors, 4, 2.0) is None


def test_overlap_and_distance_by_hand() -> None:
    rng = np.random.default_rng(1)
    sample = rng.normal(size=4000)
    assert overlap(sample, sample) == 1.0
    assert overlap(sample, sample + 100) == 0.0
    assert overlap(rng.uniform(0, 2, 50_000), rng.uniform(1, 3, 50_000)) == pytest.approx(0.5, abs=0.02)  # of 40 bins
    assert distance(np.array([0.0, 2.0]), np.array([3.0, 5.0])) == 3.0  # both deviate by 1
    assert distance(np.ones(3), np.ones(3)) == 0.0


def test_segments_share_nothing_and_hold_a_fifth_each() -> None:
    rng = np.random.default_rng(2)
    found = OwnClass(rng.normal(size=500), rng.random(500), rng.normal(size=500))
    low, high = found.segments()
    assert not (low & high).any()
    assert (low.sum(), high.sum()) == (100, 100)
    assert found.probabilities[low].max() < found.probabilities[high].min()


def test_falling_cosines_are_percentiles_of_each_rank() -> None:
    rng = np.random.default_rng(3)
    cosines = -np.sort(-rng.random((30, 5)), axis=1).astype(np.float32)
    order = rng.permutation(150)
    ranks = np.tile(np.arange(1, 6, dtype=np.int32), 30)
    found = falling_cosines(ranks[order], cosines.ravel()[order])
    assert found["rank"].tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(found["median"], np.median(cosines, axis=0), atol=1e-7)
    np.testing.assert_allclose(found["low"], np.percentile(cosines, 5, axis=0), atol=1e-7)


def test_a_sweep_is_told_in_points_over_the_cosine_at_the_lowest_rate_of_each_protocol(tmp_path) -> None:
    quality = {"cosine:net": FAIR, "sweep:k=10": GOOD, "sweep:k=2": FAIR, "sweep:s=1": FAIR}
    write_run(tmp_path, {}, quality)
    write_about(
        tmp_path / "anchors/real/anchors.arrow", {"network": "net", "scale": 1.0, "num_neighbours": 10, "kind": "real"}
    )
    (tmp_path / "scores").mkdir()
    scores = read_scores(tmp_path / "verify" / "scores.parquet")
    evidence = scores_evidence(tmp_path, scores, 100, 0, [0.1, 0.01, 0.0001])
    ((name, (values, gains, low, high)),) = sweep_curves(evidence, "sweep", "cosine:net", "k").items()
    assert name == "made, FAR 0.1"  # 360 impostors: 0.01 lets three through
    assert values.tolist() == [2, 10]
    tars = [evidence.figures("made", column, "TAR@FAR 0.1")[0] for column in ("sweep:k=2", "sweep:k=10", "cosine:net")]
    np.testing.assert_allclose(gains, [100 * (tar - tars[2]) for tar in tars[:2]])
    assert (low <= gains).all()
    assert (gains <= high).all()
    assert sweep_curves(evidence, "sweep", "cosine:net", "s") == {}  # one value is no curve
