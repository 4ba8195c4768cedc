"""Insertion and deletion on models whose answer is known, against loops, and without a bias of reading order."""

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.faithfulness.insertion_deletion import (
    CURVES,
    Curves,
    area,
    blur,
    draw_tie_ranks,
    insertion_deletion,
    saliency_ranks,
)

SIDE = 8
RNG = np.random.default_rng(0)
WEIGHTS = RNG.uniform(0.1, 1.0, size=(SIDE, SIDE)).astype(np.float32)
PARTNER = np.array([1.0, 0.0], np.float32)
TIES = draw_tie_ranks(np.random.default_rng(1), SIDE * SIDE)


def weighted_sum(images: np.ndarray) -> np.ndarray:
    """(Σ w·x, 1): its cosine with (1, 0) grows with every pixel shown, the more the larger w."""
    total = (images.mean(axis=1) * WEIGHTS).sum(axis=(1, 2))
    return np.stack([total, np.ones_like(total)], axis=1)


def bright_face() -> np.ndarray:
    """All ones but at the border, which the blur draws to below one inside: every pixel shown raises the sum."""
    return np.ones((3, SIDE, SIDE), np.float32)


def run(
    maps: list[np.ndarray], image: np.ndarray | None = None, num_steps: int = 8, sigma: float = 2.0
) -> list[Curves]:
    shown = bright_face() if image is None else image
    steps = {"num_steps": num_steps, "blur_sigma_px": sigma, "tie_ranks": TIES}
    return [insertion_deletion(weighted_sum, shown, PARTNER, saliency, **steps) for saliency in maps]


def test_the_map_of_a_linear_model_deletes_best_and_its_opposite_worst() -> None:
    true = WEIGHTS.astype(np.float64)
    others = [np.random.default_rng(seed).random((SIDE, SIDE)) for seed in range(20)]
    areas = [area(curves.deletion) for curves in run([true, -true, *others])]
    assert areas[0] == min(areas)
    assert areas[1] == max(areas)


def test_the_map_of_a_linear_model_inserts_best_and_its_opposite_worst() -> None:
    # Black noise dots on white: blurring greys everything, so showing pixel p changes the sum by w_p (x_p - blurred_p).
    image = np.repeat(RNG.choice([-1.0, 1.0], size=(1, SIDE, SIDE)), 3, axis=0).astype(np.float32)
    true = (WEIGHTS * (image - blur(image, 2.0)).mean(axis=0)).astype(np.float64)
    others = [np.random.default_rng(seed).random((SIDE, SIDE)) for seed in range(20)]
    areas = [area(curves.insertion) for curves in run([true, -true, *others], image)]
    assert areas[0] == max(areas)
    assert areas[1] == min(areas)


def test_curves_equal_the_loops() -> None:
    image = RNG.normal(size=(3, SIDE, SIDE)).astype(np.float32)
    saliency = RNG.integers(0, 5, size=(SIDE, SIDE)).astype(np.float64)
    (found,) = run([saliency], image, num_steps=5)
    order = sorted(range(SIDE * SIDE), key=lambda p: (-saliency.reshape(-1)[p], TIES[p]))
    soft = blur(image, 2.0)
    for step in range(6):
        num = round(step * SIDE * SIDE / 5)
        deleted, softened, inserted, in_grey = image.copy(), image.copy(), soft.copy(), np.zeros_like(image)
        for pixel in order[:num]:
            y, x = divmod(pixel, SIDE)
            deleted[:, y, x] = 0.0
            softened[:, y, x] = soft[:, y, x]
            inserted[:, y, x] = in_grey[:, y, x] = image[:, y, x]
        for curve, changed in (
            (found.deletion, deleted), (found.insertion, inserted), (found.deletion_blur, softened),
            (found.insertion_grey, in_grey),
        ):  # fmt: skip
            vector = weighted_sum(changed[None])[0].astype(np.float64)
            expected = vector[0] / np.linalg.norm(vector)
            assert curve[step] == pytest.approx(expected, abs=1e-6)  # float32 sums of 64 pixels


def test_curves_begin_and_end_where_they_must() -> None:
    image = RNG.normal(size=(3, SIDE, SIDE)).astype(np.float32)
    first, second = run([WEIGHTS.astype(np.float64), RNG.random((SIDE, SIDE))], image)
    vectors = weighted_sum(np.stack([image, np.zeros_like(image), blur(image, 2.0)]))
    original, grey, soft = vectors[:, 0] / np.linalg.norm(vectors, axis=1)
    for curves in (first, second):
        assert curves.deletion[[0, -1]] == pytest.approx([original, grey], abs=1e-6)  # float32
        assert curves.insertion[[0, -1]] == pytest.approx([soft, original], abs=1e-6)
        assert curves.deletion_blur[[0, -1]] == pytest.approx([original, soft], abs=1e-6)
        assert curves.insertion_grey[[0, -1]] == pytest.approx([grey, original], abs=1e-6)
        assert {len(getattr(curves, name)) for name in CURVES} == {9}


def test_every_different_image_is_embedded_once() -> None:
    seen: list[np.ndarray] = []

    def embed(images: np.ndarray) -> np.ndarray:
        seen.extend(images)
        return weighted_sum(images)

    image = RNG.normal(size=(3, SIDE, SIDE)).astype(np.float32)
    insertion_deletion(embed, image, PARTNER, RNG.random((SIDE, SIDE)), num_steps=8, blur_sigma_px=2.0, tie_ranks=TIES)
    assert len({one.tobytes() for one in seen}) == len(seen) == 3 + 4 * 7


def test_a_flat_map_removes_no_part_of_the_face_first() -> None:
    ranks = saliency_ranks(np.zeros((112, 112)), draw_tie_ranks(np.random.default_rng(2), 112 * 112))
    early = ranks < 112 * 112 // 4
    # A quarter of the pixels, drawn at random: each half holds half of them within 5 standard deviations (sd 49 of 1568).
    assert abs(int(early[:56].sum()) - 1568) < 250
    assert abs(int(early[:, :56].sum()) - 1568) < 250
    assert sorted(ranks.reshape(-1)) == list(range(112 * 112))


def test_ranks_follow_the_map_then_the_tie_order() -> None:
    ranks = saliency_ranks(np.array([[1.0, 3.0], [1.0, -2.0]]), np.array([2, 0, 1, 3]))
    assert ranks.tolist() == [[2, 0], [1, 3]]


def test_area_worked_by_hand() -> None:
    assert area(np.array([1.0, 0.5, 0.0])) == pytest.approx(0.5)
    assert area(np.array([0.0, 1.0, 1.0, 1.0, 1.0])) == pytest.approx(0.875)
    assert area(np.full(11, 0.3)) == pytest.approx(0.3)


def test_blur_keeps_a_flat_image_and_the_channels_apart() -> None:
    image = np.stack([np.full((20, 20), value, np.float32) for value in (-1.0, 0.0, 0.5)])
    np.testing.assert_allclose(blur(image, 3.0), image, atol=1e-6)  # float32 weights that sum to 1
    dot = np.zeros((3, 41, 41), np.float32)
    dot[1, 20, 20] = 1.0
    soft = blur(dot, 2.0)
    assert soft[1, 20, 20] == pytest.approx(
        1 / (2 * np.pi * 4), rel=1e-2
    )  # the density at the centre, on a 1 px raster
    assert not soft[[0, 2]].any()


def test_inputs_that_cannot_be_measured_are_errors() -> None:
    with pytest.raises(DataError, match="another shape than its image"):
        run([np.zeros((SIDE, SIDE + 1))])
    with pytest.raises(DataError, match="not finite"):
        run([np.full((SIDE, SIDE), np.nan)])
    with pytest.raises(DataError, match="tie order"):
        run([np.zeros((SIDE, SIDE))], np.zeros((1, SIDE, SIDE), np.float32))
    with pytest.raises(DataError, match="no direction"):
        insertion_deletion(
            lambda images: np.zeros((len(images), 2), np.float32),
            bright_face(),
            PARTNER,
            np.zeros((SIDE, SIDE)),
            num_steps=2,
            blur_sigma_px=1.0,
            tie_ranks=TIES,
        )
