"""Samples and batches: labels, shifts, mirroring, and draws that depend on nothing but seed, epoch and sample."""

import dataclasses
import itertools
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.networks.training.augment import Square, drawn_augmentation, shifted_squares
from pipeline_lib.networks.training.data import TrainingSet, check_shift, load_batch

WHOLE = Square(112, 0, 0)


class Pictures:
    """PNGs of arrays, and which of them were read."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.data = [cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes() for picture in pictures]
        self.read_rows: list[int] = []

    def __len__(self) -> int:
        return len(self.data)

    def read_many(self, rows: list[int]) -> list[bytes]:
        """The PNGs of pictures."""
        self.read_rows += rows
        return [self.data[row] for row in rows]

    def name(self, i: int) -> str:
        """A name for messages."""
        return f"picture {i}"


def ramp(side: int, start: int = 0) -> np.ndarray:
    """A picture in which every pixel is different: red counts columns, green rows, blue says which picture."""
    rows, columns = np.mgrid[:side, :side]
    return np.stack([columns, rows, np.full_like(rows, start)], axis=2).astype(np.uint8)


def faces(count: int = 6, views: tuple[Square, ...] = (WHOLE,)) -> TrainingSet:
    members = np.array([[(0, i)] for i in range(count)], dtype=np.int64)
    labels = np.arange(count, dtype=np.int64) % 2
    return TrainingSet(
        [Pictures([ramp(112, i) for i in range(count)])], members, labels, ("a", "b"), 112, views, None, "d"
    )


def regions(margin_px: int = 5) -> TrainingSet:
    pictures = Pictures([ramp(28 + 2 * margin_px, i) for i in range(4)])
    members = np.array([[(0, 0), (0, 1)], [(0, 2), (0, 3)]], dtype=np.int64)
    square, side = Square(28, margin_px, margin_px), 28 + 2 * margin_px
    return TrainingSet([pictures], members, np.array([0, 1]), ("a", "b"), side, (square,), margin_px, "d")


def shown(dataset: TrainingSet, sample: int, shift_px: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The views of one sample."""
    return [view[0] for view in dataset.load(np.array([sample]), shift_px, seed, epoch)]


def only(dataset: TrainingSet, sample: int, shift_px: int, seed: int, epoch: int) -> np.ndarray:
    """The image of one sample of one view."""
    (image,) = shown(dataset, sample, shift_px, seed, epoch)
    return image


def shifted_square(image: np.ndarray, square: Square, shift_x: int, shift_y: int, mirrored: int = 0) -> np.ndarray:
    """A batch of one."""
    return shifted_squares([image], square, np.array([mirrored]), np.array([shift_x]), np.array([shift_y]))[0]


def by_pixel(image: np.ndarray, square: Square, shift_x: int, shift_y: int, mirrored: int) -> np.ndarray:
    """The formula, one pixel at a time."""
    image = image[:, ::-1] if mirrored else image
    size, (height, width) = square.size_px, image.shape[:2]
    out = np.zeros((size, size, 3), np.uint8)
    for i in range(size):
        for j in range(size):
            row = min(max(square.y + shift_y + i, 0), height - 1)
            out[i, j] = image[row, min(max(square.x + shift_x + j, 0), width - 1)]
    return out


def unpadded(image: np.ndarray) -> tuple[bool, int, int]:
    """Mirrored or not, and the shift, read off a ramp picture's middle."""
    red = image[50, :, 0].astype(int)
    mirrored = red[60] < red[50]
    return (
        bool(mirrored),
        int((image[50, ::-1, 0] if mirrored else image[50, :, 0])[50]) - 50,
        int(image[50, 50, 1]) - 50,
    )


def test_square_golden() -> None:
    image, whole, middle = ramp(4), Square(4, 0, 0), Square(2, 1, 1)
    assert shifted_square(image, whole, 0, 0).tolist() == image.tolist()
    assert (
        shifted_square(image, whole, 2, -1)[:, :, 0].tolist() == [[2, 3, 3, 3]] * 4
    )  # columns beyond the border repeat
    assert shifted_square(image, whole, 2, -1)[:, 0, 1].tolist() == [0, 0, 1, 2]
    assert shifted_square(image, middle, 0, 0)[:, :, 0].tolist() == [[1, 2]] * 2
    assert shifted_square(image, middle, 1, -1)[0, :, :2].tolist() == [[2, 0], [3, 0]]
    assert shifted_square(image, Square(2, 2, 0), 1, -1)[:, :, :2].tolist() == [[[3, 0], [3, 0]]] * 2


def test_views_share_decoding_mirroring_and_shift() -> None:
    corner, centre = Square(28, 0, 84), Square(56, 28, 28)
    dataset, whole = faces(2, (corner, centre)), faces(2)
    pictures = dataset.readers[0]
    for epoch in range(20):
        face = only(whole, 1, 5, seed=1, epoch=epoch)
        left, middle = shown(dataset, 1, 5, seed=1, epoch=epoch)
        assert np.array_equal(middle, face[28:84, 28:84])
        assert np.array_equal(left, face[84:112, :28])
    assert pictures.read_rows == [1] * 20


def test_a_mirrored_face_shows_a_region_its_mirrored_partner() -> None:
    # What METHODS asks of the right-hand patch: it enters mirrored.
    face = ramp(112, 0)
    seen = {only(faces(2, (Square(28, 14, 42),)), 0, 0, seed=1, epoch=epoch).tobytes() for epoch in range(30)}
    partner = face[42:70, 112 - 28 - 14 : 112 - 14][:, ::-1]
    assert seen == {np.ascontiguousarray(each).tobytes() for each in (face[42:70, 14:42], partner)}


def test_faces_are_mirrored_half_the_time_and_shifted_evenly() -> None:
    dataset = faces(1 + 1)
    drawn = [unpadded(only(dataset, 0, 5, seed=1, epoch=epoch)) for epoch in range(600)]
    mirrored, x, y = (np.array(values) for values in zip(*drawn, strict=True))
    assert 0.4 < mirrored.mean() < 0.6  # 600 draws: five standard deviations are 0.1
    for shift in (x, y):
        assert set(shift.tolist()) == set(range(-5, 6))
        assert abs(shift.mean()) < 0.7  # five standard deviations of the mean
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_draws_depend_on_seed_epoch_and_sample_only() -> None:
    one, other = faces(), faces()
    first = only(one, 3, 5, seed=1, epoch=2)
    for sample in (5, 0, 1):
        only(other, sample, 5, seed=1, epoch=2)
    assert np.array_equal(only(other, 3, 5, seed=1, epoch=2), first)
    different = [unpadded(only(one, s, 5, seed, e)) for s, seed, e in [(3, 2, 2), (3, 1, 3), (4, 1, 2)]]
    assert any(drawn != unpadded(first) for drawn in different)
    assert np.array_equal(only(one, 3, 5, seed=-1, epoch=2), only(one, 3, 5, seed=-1, epoch=2))  # any integer is a seed


def test_without_shift_a_face_is_itself_or_its_mirror_image() -> None:
    dataset = faces()
    seen = {only(dataset, 0, 0, seed=1, epoch=epoch).tobytes() for epoch in range(30)}
    assert seen == {ramp(112, 0).tobytes(), np.ascontiguousarray(ramp(112, 0)[:, ::-1]).tobytes()}


def test_a_regions_mirror_image_is_its_partner_and_its_shift_stays_in_the_margin() -> None:
    dataset = regions()
    members = set()
    corners = set()
    for epoch in range(400):
        image = only(dataset, 1, 5, seed=1, epoch=epoch)
        assert image.shape == (28, 28, 3)
        assert (np.diff(image[0, :, 0].astype(int)) == 1).all()  # never mirrored in pixels, nothing repeated
        members.add(int(image[0, 0, 2]))
        corners.add((int(image[0, 0, 0]), int(image[0, 0, 1])))
    assert members == {2, 3}
    assert {x for x, _ in corners} == {y for _, y in corners} == set(range(11))


def test_shifts_beyond_the_margin_are_refused() -> None:
    check_shift(faces(), 30)
    check_shift(regions(), 5)
    for dataset, shift in ((regions(), 6), (faces(), -1)):
        with pytest.raises(ParamsError, match="shift_px"):
            check_shift(dataset, shift)


def test_batch() -> None:
    dataset = faces()
    samples = np.array([4, 1, 4])
    batch = load_batch(dataset, samples, 0, 1, 0, lambda rng: np.sort(rng.permutation(5)[:3]), False)
    assert [view.shape for view in batch.images] == [(3, 112, 112, 3)]
    assert batch.images[0][:, 0, 0, 2].tolist() == [4, 1, 4]
    assert batch.samples.tolist() == [4, 1, 4]
    assert batch.labels.tolist() == [0, 1, 0]
    assert batch.drawn is not None
    assert batch.drawn.shape == (3, 3)
    assert np.array_equal(batch.drawn[0], batch.drawn[2])  # the same sample in the same epoch
    alone = load_batch(dataset, samples[1:2], 0, 1, 0, lambda rng: np.sort(rng.permutation(5)[:3]), False)
    assert np.array_equal(alone.drawn, batch.drawn[1:2])
    assert load_batch(dataset, samples, 0, 1, 0, lambda rng: None, False).drawn is None


def test_noise_is_the_samples_own() -> None:
    def noise(samples: list[int], epoch: int = 0) -> list[float]:
        found = load_batch(faces(), np.array(samples), 5, 1, epoch, lambda rng: None, True).noise
        assert found is not None
        assert found.dtype == np.float32
        return found.tolist()

    assert noise([4, 1, 4]) == [*noise([4]), *noise([1]), *noise([4])]
    assert noise([4]) != noise([4], epoch=1)
    values = np.array([noise([0, 1, 2], epoch) for epoch in range(300)])
    assert abs(values.mean()) < 0.17  # five standard deviations of the mean of 900
    assert abs(values.std() - 1) < 0.12
    assert load_batch(faces(), np.array([1]), 5, 1, 0, lambda rng: None, False).noise is None


def test_masks_do_not_depend_on_the_shift() -> None:
    draws = [
        load_batch(faces(), np.array([2]), shift, 1, 0, lambda rng: rng.permutation(33), False).drawn
        for shift in (0, 5)
    ]
    assert np.array_equal(*draws)


def test_wrong_sets_and_pictures() -> None:
    good = faces()
    empty = np.zeros((0, 1, 2), np.int64)
    with pytest.raises(DataError, match="no image"):
        TrainingSet(good.readers, empty, np.zeros(0, np.int64), ("a", "b"), 112, (WHOLE,), None, "d")
    with pytest.raises(DataError, match="two identities"):
        TrainingSet(good.readers, good.members, good.labels * 0, ("a",), 112, (WHOLE,), None, "d")
    with pytest.raises(DataError, match="out of range"):
        TrainingSet(good.readers, good.members, good.labels + 1, ("a", "b"), 112, (WHOLE,), None, "d")
    small = TrainingSet(good.readers, good.members, good.labels, ("a", "b"), 56, (Square(56, 0, 0),), None, "d")
    with pytest.raises(DataError, match=r"another size[\s\S]*56x56[\s\S]*picture 0"):
        small.load(np.array([0]), 0, 0, 0)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), side=st.integers(1, 9), mirrored=st.integers(0, 1))
def test_squares_are_those_of_the_formula_wherever_they_lie(data: st.DataObject, side: int, mirrored: int) -> None:
    size = data.draw(st.integers(1, side))
    square = Square(size, *data.draw(st.tuples(*[st.integers(0, side - size)] * 2)))
    shift_x, shift_y = data.draw(st.tuples(*[st.integers(-25, 25)] * 2))
    image = np.random.default_rng(side).integers(0, 256, (side, side, 3), np.uint8)
    expected = by_pixel(image, square, shift_x, shift_y, mirrored)
    before = image.copy()
    assert np.array_equal(shifted_square(image, square, shift_x, shift_y, mirrored), expected)
    assert np.array_equal(image, before)


def test_a_batch_is_its_samples_one_by_one() -> None:
    dataset = faces(6, (WHOLE, Square(28, 84, 0)))
    samples = np.array([5, 0, 3, 3, 1])
    together = dataset.load(samples, 5, seed=1, epoch=2)
    for place, sample in enumerate(samples):
        for view, alone in zip(together, shown(dataset, sample, 5, seed=1, epoch=2), strict=True):
            assert np.array_equal(view[place], alone)


@pytest.mark.parametrize("kept", [0, 2, 6, 100])
def test_kept_images_change_no_pixel_and_are_read_once(kept: int) -> None:
    for make in (faces, regions):
        plain = make()
        keeping = dataclasses.replace(make(), kept_bytes=kept * 3 * plain.stored_px**2)
        samples = np.arange(len(plain))
        for epoch in range(6):
            for mine, wanted in zip(keeping.load(samples, 5, 1, epoch), plain.load(samples, 5, 1, epoch), strict=True):
                assert mine.tobytes() == wanted.tobytes()
        reads = Counter(keeping.readers[0].read_rows)
        assert sum(count == 1 for count in reads.values()) == min(kept, len(reads))
        assert len(plain.readers[0].read_rows) == 6 * len(plain)


def test_draws_of_a_batch_are_even_and_those_of_its_samples() -> None:
    samples = np.arange(50_000)
    mirrored, x, y = drawn_augmentation(samples, 5, seed=3, epoch=1)
    assert [each[77] for each in (mirrored, x, y)] == [int(each) for each in drawn_augmentation(77, 5, 3, 1)]
    # 50,000 draws: shares of two and of eleven values have standard deviations of 0.0022 and 0.0013; five of these
    assert abs(mirrored.mean() - 0.5) < 0.011
    for shift in (x, y):
        assert np.abs(np.bincount(shift + 5, minlength=11) / 50_000 - 1 / 11).max() < 0.0065
    for a, b in itertools.combinations((mirrored, x, y), 2):
        assert abs(np.corrcoef(a, b)[0, 1]) < 0.0225  # 1/sqrt(n) = 0.0045
    for seed, epoch in ((3, 2), (4, 1)):
        for mine, other in zip((mirrored, x, y), drawn_augmentation(samples, 5, seed, epoch), strict=True):
            assert abs(np.corrcoef(mine, other)[0, 1]) < 0.0225
    assert drawn_augmentation(samples, 0, 3, 1)[1].any() == 0


def test_a_picture_that_cannot_be_decoded_is_named() -> None:
    broken = faces()
    broken.readers[0].data[2] = b"no picture"
    with pytest.raises(DataError, match=r"cannot be decoded[\s\S]*picture 2"):
        broken.load(np.arange(6), 0, 0, 0)
