"""What anchors say of training faces and of pairs' faces: G, the regressor's held-out error, tables, likeness."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, rankdata
from some_anchors import LID, anchors

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.kind import OwnClass, TrainingFaces
from pipeline_lib.matching.anchors.shared.likeness import likeness
from pipeline_lib.matching.anchors.shared.measure import (
    Measured,
    cosine_table,
    held_out_faces,
    measure,
    rank_correlation,
    training_table,
)
from pipeline_lib.matching.dam.lid import LidRegressor
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.params.anchors import Lid

RNG = np.random.default_rng(7)
SETTINGS = Lid.model_validate(LID)


def faces(num_people: int, num_each: int, dim: int = 6) -> TrainingFaces:
    identities = [f"p{row // num_each:02d}" for row in range(num_people * num_each)]
    vectors = RNG.normal(size=(len(identities), dim)).astype(np.float32)
    return TrainingFaces([f"im{row}" for row in range(len(identities))], identities, vectors)


def test_own_anchors_do_not_count_and_held_out_people_are_not_learned_from():
    some = faces(10, 3)
    ours = anchors(some.vectors[::3], some.identities[::3])  # each person's first image
    found = measure(ours, some, SETTINGS, seed=0)
    cosines = unit(some.vectors).astype(np.float64) @ ours.vectors.astype(np.float64).T
    for row, value in enumerate(found.log_lids):
        others = np.sort(np.delete(cosines[row], row // 3))[::-1][:2]
        assert value == pytest.approx(np.log(np.exp(others).sum()), abs=1e-6)
    people = {name for name, out in zip(some.identities, found.held_out, strict=True) if out}
    assert found.held_out.tolist() == [name in people for name in some.identities]
    assert len(people) == 1
    moved = some.vectors.copy()
    moved[found.held_out] = RNG.normal(size=(3, 6))
    again = measure(ours, TrainingFaces(some.image_ids, some.identities, moved), SETTINGS, seed=0)
    np.testing.assert_array_equal(again.regressor.fc1.weight.detach(), found.regressor.fc1.weight.detach())


def test_as_many_anchors_as_neighbours_are_enough_of_strangers():
    some = faces(4, 2)
    strangers = anchors(RNG.normal(size=(2, 6)), ["x", "y"])
    assert measure(strangers, some, SETTINGS, seed=0).log_lids.shape == (8,)
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*1 to 1"):
        measure(anchors(some.vectors[:2], some.identities[:2]), some, SETTINGS, seed=0)  # the own one does not count
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*1 to 2"):
        measure(anchors(RNG.normal(size=(2, 6)), ["x", "y"], k=3), some, SETTINGS, seed=0)


@pytest.mark.parametrize(("share", "num"), [(0.1, 1), (0.5, 5), (0.99, 9), (0.25, 2)])
def test_a_share_of_the_identities_is_held_out_and_never_all(share, num):
    some = faces(10, 2)
    held = [held_out_faces(some, share, np.random.default_rng(seed)) for seed in range(60)]
    assert {int(one.sum()) for one in held} == {2 * num}
    assert np.any(held, axis=0).all()
    with pytest.raises(DataError, match=r"two training identities[\s\S]*p00"):
        held_out_faces(faces(1, 3), share, RNG)


def test_figures_by_hand():
    log_lids, learned = np.log([1.0, 3.0, 2.0, 4.0, 9.0]), np.log([2.0, 3.0, 5.0, 4.0, 6.0])
    held_out = np.array([True, True, False, False, False])
    found = Measured(log_lids, learned, held_out, LidRegressor(2, 2, 1.0, 2)).figures()
    assert found == pytest.approx(
        {
            "num_training_images": 5,
            "num_held_out_images": 2,
            "lid_mean": 2.0,
            "lid_std": 1.0,
            "lid_rmse": np.sqrt(0.5),
            "lid_rank_correlation": 1.0,
            "fitted_lid_mean": 5.0,
            "fitted_lid_std": np.sqrt((9 + 1 + 16) / 3),
            "fitted_lid_rmse": np.sqrt((9 + 0 + 9) / 3),
            "fitted_lid_rank_correlation": 0.5,  # ranks 1 2 3 and 2 1 3
        }
    )


def test_rank_correlation_is_that_of_the_ranks_and_none_of_a_constant():
    a, b = RNG.normal(size=(2, 40)).round(1)  # ties
    assert rank_correlation(a, b) == pytest.approx(np.corrcoef(rankdata(a), rankdata(b))[0, 1], abs=1e-12)
    assert rank_correlation(a, np.ones(40)) is None
    assert rank_correlation(a[:1], b[:1]) is None


def test_tables():
    some = faces(6, 2)
    ours = anchors(some.vectors[::2], some.identities[::2])
    found = measure(ours, some, SETTINGS, seed=0)
    table = training_table(some, found, None)
    np.testing.assert_array_equal(table["log_lid"].to_numpy(), found.log_lids.astype(np.float32))
    np.testing.assert_array_equal(table["log_lid_learned"].to_numpy(), found.learned.astype(np.float32))
    assert table["identity"].to_pylist() == some.identities
    assert table["own_cosine"].null_count == table["own_probability"].null_count == 12
    known = training_table(some, found, OwnClass(np.ones(12, np.float32), np.zeros(12, np.float32)))
    assert (known["own_cosine"].to_pylist(), known["own_probability"].to_pylist()) == ([1.0] * 12, [0.0] * 12)
    curves = cosine_table(ours, some, seed=0).to_pandas()
    assert (len(curves), curves["rank"].max()) == (12 * 5, 5)  # all anchors but the own one
    for name, curve in curves.groupby("image_id"):
        row = some.image_ids.index(name)
        cosines = np.delete(ours.vectors @ unit(some.vectors[row]), row // 2)
        np.testing.assert_allclose(curve["cosine"], np.sort(cosines)[::-1], rtol=0, atol=1e-6)
        assert curve["rank"].tolist() == [1, 2, 3, 4, 5]


def test_curves_are_of_200_images_and_1000_ranks_at_most():
    some = faces(250, 1)
    curves = cosine_table(anchors(RNG.normal(size=(1200, 6)), [f"x{i}" for i in range(1200)]), some, seed=1).to_pandas()
    assert (curves["image_id"].nunique(), len(curves), curves["rank"].max()) == (200, 200_000, 1000)
    assert set(curves["image_id"]) != set(cosine_table(anchors(np.eye(6), list("abcdef")), some, seed=2).to_pandas())


@pytest.mark.parametrize("are_training_people", [False, True])
def test_likeness_is_mann_whitneys_u_against_the_anchors_own_people(tmp_path, are_training_people):
    some = faces(12, 2)
    ours = anchors(RNG.normal(size=(9, 6)), some.identities[:18:2] if are_training_people else list("abcdefghi"), k=3)
    names, vectors = [f"t{row}" for row in range(20)], RNG.normal(size=(20, 6)).astype(np.float32)
    write_embeddings(tmp_path, EmbeddingSet(names, names, names, ["test"] * 20, [None] * 20, vectors, None, []), "d")
    found = likeness(ours, some, tmp_path, {"one": names[:8], "other": names[8:]})
    # Each of nine people's two images without the own anchor, not those of the three who have none; or each anchor.
    own = unit(some.vectors[:18]) @ ours.vectors.T if are_training_people else ours.vectors @ ours.vectors.T
    for row in range(len(own)):
        own[row, row // 2 if are_training_people else row] = -np.inf
    own_lids = np.exp(np.sort(own, axis=1)[:, -3:].astype(np.float64)).sum(axis=1)
    for protocol, rows in (("one", slice(0, 8)), ("other", slice(8, 20))):
        nearest = np.sort(unit(vectors[rows]) @ ours.vectors.T, axis=1)[:, -3:].astype(np.float64)
        lids = np.exp(nearest).sum(axis=1)
        auc = mannwhitneyu(lids, own_lids).statistic / (len(lids) * len(own_lids))
        expected = {"auc": auc, "lid_mean": lids.mean(), "lid_std": lids.std(), "num_faces": len(lids)}
        assert found[protocol] == pytest.approx(expected, rel=1e-5)
    with pytest.raises(DataError, match="no embedding"):
        likeness(ours, some, tmp_path, {"one": ["nobody"]})
    with pytest.raises(DataError, match=r"too few anchors[\s\S]*1 to 2"):
        likeness(anchors(RNG.normal(size=(3, 6)), list("abc"), k=3), some, tmp_path, {"one": names})


def test_faces_apart_from_all_anchors_are_unlike_them(tmp_path):
    """Anchors about one direction: faces about it are like them, faces about another are not."""
    names = [f"t{row}" for row in range(80)]
    axes = np.repeat(np.eye(6)[:2], 40, axis=0)
    vectors = (axes + RNG.normal(scale=0.2, size=(80, 6))).astype(np.float32)
    write_embeddings(tmp_path, EmbeddingSet(names, names, names, ["test"] * 80, [None] * 80, vectors, None, []), "d")
    ours = anchors(np.eye(6)[0] + RNG.normal(scale=0.2, size=(60, 6)), [f"a{row}" for row in range(60)], k=5)
    found = likeness(ours, faces(3, 1), tmp_path, {"like": names[:40], "unlike": names[40:]})
    assert found["like"]["auc"] == pytest.approx(0.5, abs=0.15)  # of 60 and 40 faces: deviation 0.06
    assert found["unlike"]["auc"] < 0.01
