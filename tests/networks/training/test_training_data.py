"""Samples and batches: labels, shifts, mirroring, and draws that depend on nothing but seed, epoch and sample."""

import cv2
import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.networks.training.data import (
    Square,
    TrainingSet,
    check_shift,
    load_batch,
    shifted_square,
)

WHOLE = Square(112, 0, 0)


class Pictures:
    """PNGs of arrays, and which of them were read."""

    def __init__(self, pictures: list[np.ndarray]) -> None:
        self.data = [cv2.imencode(".png", picture[:, :, ::-1])[1].tobytes() for picture in pictures]
        self.read_rows: list[int] = []

    def __len__(self) -> int:
        return len(self.data)

    def read(self, i: int) -> bytes:
        """The PNG of picture i."""
        self.read_rows.append(i)
        return self.data[i]

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


def only(views: list[np.ndarray]) -> np.ndarray:
    """The image of a sample with one view."""
    (image,) = views
    return image


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
        face = only(whole.load(1, 5, seed=1, epoch=epoch))
        left, middle = dataset.load(1, 5, seed=1, epoch=epoch)
        assert np.array_equal(middle, face[28:84, 28:84])
        assert np.array_equal(left, face[84:112, :28])
    assert pictures.read_rows == [1] * 20


def test_a_mirrored_face_shows_a_region_its_mirrored_partner() -> None:
    # What METHODS asks of the right-hand patch: it enters mirrored.
    face = ramp(112, 0)
    seen = {only(faces(2, (Square(28, 14, 42),)).load(0, 0, seed=1, epoch=epoch)).tobytes() for epoch in range(30)}
    partner = face[42:70, 112 - 28 - 14 : 112 - 14][:, ::-1]
    assert seen == {np.ascontiguousarray(each).tobytes() for each in (face[42:70, 14:42], partner)}


def test_faces_are_mirrored_half_the_time_and_shifted_evenly() -> None:
    dataset = faces(1 + 1)
    drawn = [unpadded(only(dataset.load(0, 5, seed=1, epoch=epoch))) for epoch in range(600)]
    mirrored, x, y = (np.array(values) for values in zip(*drawn, strict=True))
    assert 0.4 < mirrored.mean() < 0.6  # 600 draws: five standard deviations are 0.1
    for shift in (x, y):
        assert set(shift.tolist()) == set(range(-5, 6))
        assert abs(shift.mean()) < 0.7  # five standard deviations of the mean
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.2


def test_draws_depend_on_seed_epoch_and_sample_only() -> None:
    one, other = faces(), faces()
    first = only(one.load(3, 5, seed=1, epoch=2))
    for sample in (5, 0, 1):
        other.load(sample, 5, seed=1, epoch=2)
    assert np.array_equal(only(other.load(3, 5, seed=1, epoch=2)), first)
    different = [unpadded(only(one.load(s, 5, seed, e))) for s, seed, e in [(3, 2, 2), (3, 1, 3), (4, 1, 2)]]
    assert any(drawn != unpadded(first) for drawn in different)
    assert np.array_equal(one.load(3, 5, seed=-1, epoch=2), one.load(3, 5, seed=-1, epoch=2))  # any integer is a seed


def test_without_shift_a_face_is_itself_or_its_mirror_image() -> None:
    dataset = faces()
    seen = {only(dataset.load(0, 0, seed=1, epoch=epoch)).tobytes() for epoch in range(30)}
    assert seen == {ramp(112, 0).tobytes(), np.ascontiguousarray(ramp(112, 0)[:, ::-1]).tobytes()}


def test_a_regions_mirror_image_is_its_partner_and_its_shift_stays_in_the_margin() -> None:
    dataset = regions()
    members = set()
    corners = set()
    for epoch in range(400):
        image = only(dataset.load(1, 5, seed=1, epoch=epoch))
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
        small.load(0, 0, 0, 0)
