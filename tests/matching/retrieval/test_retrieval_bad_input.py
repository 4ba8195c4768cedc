"""Bad input of identification: a named error, or an exclusion that is counted."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.retrieval.results import metrics_by_kind
from tests.matching.retrieval.test_retrieval_two_stage import Raw, people, rank


def part(raw: Raw, rows: list[int]) -> Raw:
    """Some rows, also none, or one twice."""
    texts = ([of[row] for row in rows] for of in (raw.keys, raw.image_ids, raw.identities))
    return Raw(*texts, raw.vectors[rows], raw.patches[rows])


@pytest.mark.parametrize(
    ("query_rows", "gallery_rows", "message"),
    [
        ([], [0, 1, 2], "0 queries, 3 gallery images"),
        ([0], [], "1 queries, 0 gallery images"),
        ([0], [1], "1 queries, 1 gallery images"),
        ([0, 4, 0], [1, 2, 3], r"query is there twice[\s\S]*person0_0\+mask"),
        ([0], [1, 2, 1], r"gallery image is there twice[\s\S]*person0_1"),
    ],
)
def test_nothing_to_rank_or_something_twice(query_rows: list[int], gallery_rows: list[int], message: str) -> None:
    queries, gallery = people()
    with pytest.raises(DataError, match=message):
        rank(part(queries, query_rows), part(gallery, gallery_rows))


def test_equal_pictures_under_two_names_are_both_found_in_their_order() -> None:
    queries, gallery = people()
    names = ["copy_a", "copy_b"]
    twins = Raw(names, names, ["person9"] * 2, queries.vectors[[0, 0]], queries.patches[[0, 0]])
    both = Raw(*(a + b for a, b in ((twins.keys, gallery.keys), (twins.image_ids, gallery.image_ids),
               (twins.identities, gallery.identities))), np.concatenate([twins.vectors, gallery.vectors]),
               np.concatenate([twins.patches, gallery.patches]))  # fmt: skip
    ranking = rank(part(queries, [0]), both)
    assert ranking.candidates[0, :2].tolist() == [0, 1]
    assert ranking.candidates[0, ranking.order[0]][:2].tolist() == [0, 1]


def test_a_kind_none_of_whose_people_are_there_is_named_and_single_strangers_are_counted() -> None:
    queries, gallery = people()
    strangers = replace(queries, identities=["nobody"] * 4 + queries.identities[4:])
    ranking = rank(strangers, gallery)
    kinds = ["mask"] * len(queries.keys)
    assert metrics_by_kind(ranking, kinds)["mask"]["num_left_out"] == 4
    with pytest.raises(DataError, match=r"No query has a relevant image[\s\S]*queries of kind profile"):
        metrics_by_kind(ranking, ["profile"] * 4 + kinds[4:])


def test_more_candidates_than_the_gallery_has_are_all_of_it() -> None:
    queries, gallery = people()
    few = part(gallery, [0, 1, 5])
    assert rank(part(queries, [0]), few, top_k=100).compared.shape == (1, 2)  # its own original is not found
    assert rank(part(queries, [2]), few, top_k=100).compared.shape == (1, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_features_without_a_direction_are_named(value: float) -> None:
    queries, gallery = people()
    queries.vectors[2] = value
    with pytest.raises(DataError, match=r"query's embedding has no direction[\s\S]*rows \[\(2,\)\]"):
        rank(queries, gallery)
    queries, gallery = people()
    queries.patches[2, 1] = value
    with pytest.raises(DataError, match=r"person0_2\+mask"):
        rank(queries, gallery)


def test_features_of_different_networks_are_named() -> None:
    queries, gallery = people()
    longer = np.concatenate([gallery.vectors] * 2, axis=1)
    with pytest.raises(DataError, match=r"differ[\s\S]*16[\s\S]*32"):
        rank(queries, replace(gallery, vectors=longer))
    with pytest.raises(DataError, match=r"different channel counts[\s\S]*person0_0\+mask 16, person\d_\d 8"):
        rank(queries, replace(gallery, patches=gallery.patches[:, :, :8].copy()))
