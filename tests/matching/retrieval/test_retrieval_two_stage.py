"""Both stages together: the protocol, the table, and a case where patches decide what the cosine cannot."""

from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.rerankers.emd import Emd, Settings
from pipeline_lib.matching.rerankers.shared.reranker import PatchFaces
from pipeline_lib.matching.retrieval.metrics import precisions
from pipeline_lib.matching.retrieval.rerank import blended_scores, reranked_order
from pipeline_lib.matching.retrieval.results import metrics_by_kind, ranks_table, seconds_table
from pipeline_lib.matching.retrieval.stored_faces import stored_faces
from pipeline_lib.matching.retrieval.two_stage import Faces, TwoStageRanking, rank_two_stages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_embeddings, write_embeddings
from pipeline_lib.schemas.ranks import RANKS

NUM_IDENTITIES, IMAGES_EACH, NUM_PATCHES, DIM = 5, 4, 6, 16
GRID = np.array([[40 * (place % 3), 40 * (place // 3), 40, 40] for place in range(NUM_PATCHES)], np.int64)
EMD = Emd(Settings(weights="apc", pool=1, regularisation=0.05, tolerance=1e-4, max_iterations=1000))


@dataclass
class Raw:
    """Faces before their patches have unit length: float32 (N, K, C)."""

    keys: list[str]
    image_ids: list[str]
    identities: list[str]
    vectors: np.ndarray
    patches: np.ndarray

    def faces(self) -> Faces:
        def read(rows: np.ndarray) -> PatchFaces:
            return PatchFaces([self.keys[row] for row in rows], self.vectors[rows], self.patches[rows], GRID)

        return Faces(self.keys, self.image_ids, self.identities, self.vectors, read)


def people(seed: int = 0) -> tuple[Raw, Raw]:
    """A gallery of patches that tell the identity, and queries of which half the patches are covered by one thing."""
    rng = np.random.default_rng(seed)
    # What all faces share keeps every patch similar to the mean of any other face, as in a trained network's maps.
    face = rng.normal(size=(NUM_IDENTITIES, NUM_PATCHES, DIM)) + 1.0
    names = [f"person{p}" for p in range(NUM_IDENTITIES) for _ in range(IMAGES_EACH)]
    ids = [f"{name}_{row % IMAGES_EACH}" for row, name in enumerate(names)]
    clean = np.repeat(face, IMAGES_EACH, axis=0) + 0.6 * rng.normal(size=(len(ids), NUM_PATCHES, DIM))
    covered = clean.copy()
    covered[:, NUM_PATCHES // 2 :] = 4.0 * rng.normal(size=DIM)  # loud: it dominates the mean, but not the cosines
    clean, covered = clean.astype(np.float32), covered.astype(np.float32)
    gallery = Raw(ids, ids, names, clean.mean(axis=1), clean)
    keys = [f"{image_id}+mask" for image_id in ids]
    return Raw(keys, ids, names, covered.mean(axis=1), covered), gallery


def rank(queries: Raw, gallery: Raw, top_k: int | None = 10, alpha: float = 0.7) -> TwoStageRanking:
    return rank_two_stages(queries.faces(), gallery.faces(), top_k=top_k, alpha=alpha, reranker=EMD)


def test_blending_is_linear() -> None:
    cosines, emd = np.array([[0.5, 0.1]], np.float32), np.array([[0.2, 0.9]], np.float32)
    np.testing.assert_allclose(blended_scores(cosines, emd, 0.7), [[0.29, 0.66]], atol=1e-6)  # float32


def test_only_the_candidates_of_stage_two_move_and_ties_keep_their_order() -> None:
    order = reranked_order(np.array([[0.1, 0.5, 0.5, 0.9]], np.float32), np.ones((1, 4), bool), 6)
    assert order.tolist() == [[3, 1, 2, 0, 4, 5]]
    assert reranked_order(np.zeros((1, 2), np.float32), np.ones((1, 2), bool), 2).tolist() == [[0, 1]]


def test_candidates_without_a_score_keep_their_place_and_the_others_move_around_them() -> None:
    blended = np.array([[np.nan, 0.1, np.nan, 0.5, 0.9], [0.1, 0.2, np.nan, 0.3, 0.0], [np.nan] * 5], np.float32)
    order = reranked_order(blended, np.isfinite(blended), 6)
    assert order.tolist() == [[0, 4, 2, 3, 1, 5], [3, 1, 2, 0, 4, 5], [0, 1, 2, 3, 4, 5]]


def test_scores_that_are_not_finite_cannot_be_ranked() -> None:
    both = np.ones((1, 2), bool)
    with pytest.raises(DataError, match="1 scores not finite"):
        reranked_order(np.array([[0.1, np.nan]], np.float32), both, 2)
    with pytest.raises(DataError, match="depth 1"):
        reranked_order(np.zeros((1, 2), np.float32), both, 1)


def test_the_own_original_is_neither_found_nor_counted() -> None:
    queries, gallery = people()
    ranking = rank(queries, gallery)
    rows = np.arange(len(queries.keys))
    assert not (ranking.candidates == rows[:, None]).any()
    assert (ranking.num_relevant == IMAGES_EACH - 1).all()
    for row in rows:
        genuine = [gallery.identities[c] == queries.identities[row] for c in ranking.candidates[row]]
        assert ranking.genuine[row].tolist() == genuine


def test_a_query_whose_original_is_not_in_the_gallery_counts_all_images() -> None:
    queries, gallery = people()
    stranger = Raw(["x+mask"], ["x"], ["person0"], queries.vectors[:1], queries.patches[:1])
    assert rank(stranger, gallery).num_relevant.tolist() == [IMAGES_EACH]
    unknown = Raw(["y+mask"], ["y"], ["nobody"], queries.vectors[:1], queries.patches[:1])
    both = Raw(*(list(a) + list(b) for a, b in ((stranger.keys, unknown.keys), (stranger.image_ids, unknown.image_ids),
                   (stranger.identities, unknown.identities))), np.repeat(queries.vectors[:1], 2, 0),
                 np.repeat(queries.patches[:1], 2, 0))  # fmt: skip
    metrics = metrics_by_kind(rank(both, gallery), ["mask", "mask"])
    assert metrics["mask"]["num_left_out"] == 1
    assert metrics["mask"]["num_queries"] == 1


def test_patches_repair_what_a_cover_does_to_the_cosine() -> None:
    queries, gallery = people()
    metrics = metrics_by_kind(rank(queries, gallery), ["mask"] * len(queries.keys))["mask"]
    assert metrics["reranked"]["map_at_r"]["value"] > metrics["cosine"]["map_at_r"]["value"] + 0.05
    assert metrics["num_not_converged"] == 0


def test_alpha_zero_changes_nothing() -> None:
    ranking = rank(*people(), alpha=0.0)
    assert (ranking.order == np.arange(ranking.order.shape[1])).all()


def test_lists_reach_as_deep_as_the_metrics_need() -> None:
    queries, gallery = people()
    ranking = rank(queries, gallery, top_k=2)
    assert ranking.compared.shape == (len(queries.keys), 2)
    assert ranking.candidates.shape[1] == IMAGES_EACH - 1
    assert (ranking.order[:, 2] == 2).all()
    whole = rank(queries, gallery, top_k=1000)
    assert whole.candidates.shape[1] == len(gallery.keys) - 1


def test_the_table_holds_what_the_metrics_were_computed_from() -> None:
    queries, gallery = people()
    kinds = ["mask" if row % 2 else "sunglasses" for row in range(len(queries.keys))]
    ranking = rank(queries, gallery, top_k=2)
    table = ranks_table(ranking, queries.faces(), gallery.faces(), kinds, 3)
    assert table.schema == RANKS
    frame = table.to_pandas()
    expected = metrics_by_kind(ranking, kinds)
    for kind, rows in [*frame.groupby("kind"), ("all", frame)]:
        for method, rank_column in (("cosine", "rank_cosine"), ("reranked", "rank_reranked")):
            lists = rows.sort_values(["query_key", rank_column]).groupby("query_key")
            relevant = np.array([group["genuine"].tolist() for _, group in lists])
            found = precisions(relevant, lists["num_relevant"].first().to_numpy().astype(np.int64))
            assert found.map_at_r.mean() == pytest.approx(expected[kind][method]["map_at_r"]["value"])
            assert found.p_at_1.mean() == pytest.approx(expected[kind][method]["p_at_1"]["value"])
    first = frame[frame.query_key == queries.keys[0]]
    assert first["compared"].isna().tolist() == [False, False, True]
    assert sorted(first["rank_reranked"]) == [1, 2, 3]
    np.testing.assert_allclose(
        first["reranked"][:2], 0.7 * first["compared"][:2] + 0.3 * first["cosine"][:2], atol=1e-6
    )


def test_every_query_has_its_share_of_the_time() -> None:
    queries, gallery = people()
    ranking = rank(queries, gallery, top_k=3)
    table = seconds_table(ranking, queries.faces(), ["mask"] * len(queries.keys), 2)
    assert table["query_key"].to_pylist() == queries.keys
    assert set(zip(table["num_pairs"].to_pylist(), table["num_threads"].to_pylist(), strict=True)) == {(3, 2)}
    assert (ranking.seconds > 0).all()
    assert len(set(ranking.seconds[: EMD.num_queries].tolist())) == 1  # a block's queries share it


def test_an_approximate_index_ranks_a_small_gallery_as_the_exact_one_does() -> None:
    queries, gallery = (raw.faces() for raw in people())
    exact, approximate = (
        rank_two_stages(queries, gallery, top_k=10, alpha=0.7, reranker=EMD, index=index) for index in ("exact", "hnsw")
    )
    assert exact.recall == approximate.recall == 1.0
    np.testing.assert_array_equal(exact.candidates, approximate.candidates)
    np.testing.assert_array_equal(exact.order, approximate.order)


def test_a_broken_patch_names_its_image() -> None:
    queries, gallery = people()
    gallery.patches[3, 0, 0] = np.nan
    with pytest.raises(DataError, match="person0_3"):
        rank(queries, gallery)


def test_a_candidate_that_resembles_the_query_nowhere_is_left_out_of_stage_two_and_counted() -> None:
    """Patches opposite to the query's: apc has no weight to give, which must not stop the other candidates' ranking."""
    queries, gallery = people()
    gallery.patches[7] = -np.abs(queries.patches[0])
    queries.patches[0] = np.abs(queries.patches[0])
    ranking = rank(queries, gallery, top_k=len(gallery.keys))
    column = int(np.flatnonzero(ranking.candidates[0] == 7)[0])
    assert not ranking.carried[0, column]
    assert np.isnan(ranking.compared[0, column])
    assert np.isnan(ranking.blended[0, column])
    assert ranking.order[0, column] == column  # its place of stage 1
    assert ranking.carried[0].sum() >= 1
    kinds = ["mask"] * len(queries.keys)
    assert metrics_by_kind(ranking, kinds)["mask"]["num_nothing_carried"] == (~ranking.carried).sum()
    row = ranks_table(ranking, queries.faces(), gallery.faces(), kinds, 100).slice(column, 1).to_pylist()[0]
    assert (row["gallery_key"], row["compared"], row["reranked"]) == (gallery.keys[7], None, None)
    assert row["rank_reranked"] == row["rank_cosine"] == column + 1


@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_stored_faces_are_the_same_whatever_is_read_at_once(tmp_path: Path, at_once: int) -> None:
    _, gallery = people()
    plain = ["test"] * len(gallery.keys), [None] * len(gallery.keys)
    columns = (
        gallery.keys,
        gallery.image_ids,
        gallery.identities,
        *plain,
        gallery.vectors,
        gallery.patches,
        gallery.keys,
    )
    write_embeddings(tmp_path, EmbeddingSet(*columns, GRID))
    wanted, mean = gallery.keys[::-2], gallery.vectors.mean(axis=0)
    store = read_embeddings(tmp_path)
    found, centred = stored_faces(store, tmp_path, wanted), stored_faces(store, tmp_path, wanted, mean)
    assert found.keys == wanted
    assert list(found.identities) == gallery.identities[::-2]
    np.testing.assert_array_equal(found.vectors, gallery.vectors[::-2])
    np.testing.assert_array_equal(centred.vectors, gallery.vectors[::-2] - mean)
    for first in range(0, len(wanted), at_once):
        rows = np.arange(first, min(first + at_once, len(wanted)))[::-1].copy()
        part = found.patches(rows)
        assert part.keys == [wanted[row] for row in rows]
        np.testing.assert_array_equal(part.patches, gallery.patches[::-2][rows])
        np.testing.assert_array_equal(part.vectors, centred.patches(rows).vectors)  # a re-ranker sees them as they came
        np.testing.assert_array_equal(part.grid, GRID)
    with pytest.raises(DataError, match="mean is of other embeddings"):
        stored_faces(store, tmp_path, wanted, mean[:3])


def test_the_whole_gallery_compared_is_the_order_of_the_comparison_alone() -> None:
    queries, gallery = people()
    with mock.patch.object(EMD, "num_gallery", 3):  # a block's edge falls everywhere
        ranking = rank(queries, gallery, top_k=None, alpha=1.0)
    assert ranking.compared.shape == (len(queries.keys), len(gallery.keys) - 1)
    reranked = np.take_along_axis(ranking.compared, ranking.order, axis=1)
    assert (np.diff(reranked, axis=1) <= 0).all()
    whole = rank(queries, gallery, top_k=None, alpha=1.0)
    np.testing.assert_array_equal(ranking.compared, whole.compared)
    table = ranks_table(ranking, queries.faces(), gallery.faces(), ["mask"] * len(queries.keys), 2).to_pandas()
    assert ((table["rank_cosine"] <= 2) | (table["rank_reranked"] <= 2)).all()
    assert len(table[table["rank_reranked"] <= 2]) == 2 * len(queries.keys)


def test_the_gallery_asks_for_its_own_people_without_itself() -> None:
    _, gallery = people()
    ranking = rank(gallery, gallery)
    assert not (ranking.candidates == np.arange(len(gallery.keys))[:, None]).any()
    assert (ranking.num_relevant == IMAGES_EACH - 1).all()


def test_change_and_bound_are_those_of_the_lists() -> None:
    queries, gallery = people()
    ranking = rank(queries, gallery, top_k=2)
    found = metrics_by_kind(ranking, ["mask"] * len(queries.keys))["mask"]
    for metric in ("p_at_1", "rp", "map_at_r"):
        before, after, bound, change = (found[name][metric] for name in ("cosine", "reranked", "bound", "change"))
        assert change["value"] == pytest.approx(after["value"] - before["value"])
        assert change["low"] <= change["value"] <= change["high"]
        assert bound["value"] >= max(before["value"], after["value"]) - 1e-12  # rounding of means
    assert found["bound"]["p_at_1"]["value"] == ranking.genuine[:, :2].any(axis=1).mean()
    alone = ranking.identities == 0
    one = metrics_by_kind(ranking, ["crop" if first else "mask" for first in alone])["crop"]["change"]["p_at_1"]
    assert (one["low"], one["high"]) == (None, None)  # one person says nothing of others
