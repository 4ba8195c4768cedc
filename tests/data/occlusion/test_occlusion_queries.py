"""Which test images are occluded as queries."""

from pipeline_lib.data.occlusion.draw import query_images

IDS = [f"image-{number}" for number in range(40)]


def test_at_most_so_many_images_whatever_their_order() -> None:
    drawn = query_images(3, IDS, 5)
    assert len(drawn) == 5
    assert drawn == query_images(3, reversed(IDS), 5)


def test_a_larger_number_only_adds_and_none_takes_all() -> None:
    assert query_images(3, IDS, 5) < query_images(3, IDS, 12) < query_images(3, IDS, None) == frozenset(IDS)
    assert query_images(3, IDS, 100) == frozenset(IDS)


def test_another_seed_draws_others() -> None:
    assert query_images(3, IDS, 10) != query_images(4, IDS, 10)


def test_no_images_no_queries() -> None:
    assert query_images(3, [], 5) == frozenset()
