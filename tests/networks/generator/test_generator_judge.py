"""Nearest faces against loops, planted copies and twins, and what cannot be judged."""

import numpy as np
import pyarrow.compute as pc
import pytest
from tiny_generator import face

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.generator import judge as module
from pipeline_lib.networks.generator.judge import Faces, judge, nearest, own_cosines, pixel_vectors
from pipeline_lib.networks.generator.pictures import COPY, OTHER, draw_sheet, draw_strip
from pipeline_lib.schemas.nearest_faces import FAKE_TO_FAKE, FAKE_TO_TRAINING, TO_OTHER_PEOPLE, TO_OWN_PHOTOGRAPHS


def angles(*degrees: float) -> np.ndarray:
    """Unit vectors in the plane."""
    radians = np.deg2rad(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def faces(people: list[int], vectors: np.ndarray, name: str = "i") -> Faces:
    return Faces([f"{name}{number}" for number in range(len(people))], np.array(people), vectors)


def test_figures_by_hand() -> None:
    training = faces([0, 0, 1, 1], angles(0, 10, 90, 120))  # own pairs: 10 and 30 degrees apart
    fakes = faces([0] * 4, angles(-9, 200, 202, 145), "f")
    drawn = np.array([0, 2])
    judged = judge("embeddings", fakes, training, drawn)
    own = np.cos(np.deg2rad([10, 30]))
    expected = {"copy_cosine": np.percentile(own, 99), "person_cosine": own.mean()}
    expected |= {"num_copies": 1, "num_lookalikes": 1, "num_twins": 2}
    expected["median.fake_to_training"] = np.median(np.cos(np.deg2rad([9, 80, 82, 25])))
    expected["median.training_to_other_people"] = np.mean(np.cos(np.deg2rad([90, 80])))
    expected["median.training_to_own_photographs"] = np.mean(np.cos(np.deg2rad([10, 30])))
    expected["median.fake_to_fake"] = np.median(np.cos(np.deg2rad([149, 2, 2, 55])))
    assert judged.figures == pytest.approx(expected, abs=1e-6)
    assert judged.nearest_first.tolist() == [0, 3, 1, 2]
    found = {
        relation: judged.table.filter(pc.equal(judged.table["relation"], relation)).select(["face", "nearest"])
        for relation in (FAKE_TO_TRAINING, FAKE_TO_FAKE, TO_OTHER_PEOPLE, TO_OWN_PHOTOGRAPHS)
    }
    pairs = {relation: list(zip(*table.to_pydict().values(), strict=True)) for relation, table in found.items()}
    assert pairs[FAKE_TO_TRAINING] == [("f0", "i0"), ("f1", "i3"), ("f2", "i3"), ("f3", "i3")]
    assert pairs[FAKE_TO_FAKE] == [("f0", "f2"), ("f1", "f2"), ("f2", "f1"), ("f3", "f1")]
    assert pairs[TO_OTHER_PEOPLE] == [("i0", "i2"), ("i2", "i1")]
    assert pairs[TO_OWN_PHOTOGRAPHS] == [("i0", "i1"), ("i2", "i3")]


@pytest.mark.parametrize("at_once", [1, 3, 256])
def test_the_nearest_are_those_of_loops(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_AT_ONCE", at_once)
    rng = np.random.default_rng(0)
    vectors = unit(rng.integers(-1, 2, (12, 3)) + 0.1 * np.eye(12, 3))
    vectors[5] = vectors[4]  # a tie: the first
    one = faces(rng.integers(0, 4, 12).tolist(), vectors)
    rows = np.array([0, 3, 4, 5, 11])
    found, cosines = nearest(one, rows, one, lambda some: one.people[some, None] != one.people[None])
    for row, place, value in zip(rows, found, cosines, strict=True):
        others = [other for other in range(12) if one.people[other] != one.people[row]]
        products = [float(vectors[row] @ vectors[other]) for other in others]
        assert value == pytest.approx(max(products), abs=1e-6)
        assert products[others.index(place)] == pytest.approx(max(products), abs=1e-6)
    alone = nearest(one, rows, one, lambda some: np.zeros((len(some), 12), np.bool_))[1]
    assert np.isneginf(alone).all()


def test_pairs_of_one_person_are_those_of_loops() -> None:
    rng = np.random.default_rng(1)
    some = faces(rng.integers(0, 5, 20).tolist(), unit(rng.normal(size=(20, 4))))
    expected = [
        float(some.vectors[a] @ some.vectors[b])
        for a in range(20)
        for b in range(a)
        if some.people[a] == some.people[b]
    ]
    np.testing.assert_allclose(np.sort(own_cosines(some)), np.sort(expected), atol=1e-6)


def test_a_copy_is_found_by_its_pixels_mirrored_brighter_and_blurred() -> None:
    rng = np.random.default_rng(2)
    small = rng.integers(0, 200, (7, 14, 14, 3), dtype=np.uint8)
    small[1:6:2] = small[0:6:2] // 2 + small[1:6:2] // 2  # a person's photographs resemble each other
    pictures = small.repeat(8, axis=1).repeat(8, axis=2)
    vectors = pixel_vectors(pictures)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    copy = pictures[2, :, ::-1] + np.uint8(40)
    training = faces([0, 0, 1, 1, 2, 2], vectors[:6])
    judged = judge("pixels", faces([0, 0], pixel_vectors(np.stack([pictures[6], copy])), "f"), training, np.arange(6))
    assert judged.figures["num_copies"] == 1
    assert judged.nearest_first[0] == 1
    # against numpy's own correlation
    grey = [picture.reshape(28, 4, 28, 4, 3).mean(axis=(1, 3, 4)) for picture in pictures[:2]]
    correlation = np.corrcoef(*[(one + one[:, ::-1]).ravel() for one in grey])[0, 1]
    assert float(vectors[0] @ vectors[1]) == pytest.approx(correlation, abs=1e-5)


def test_what_strangers_reach_by_chance_is_no_copy() -> None:
    """Own photographs are 60 degrees apart, two people's faces up to 5: a fake 6 degrees from a face is none."""
    training = faces([0, 0, 1, 1], angles(0, 60, 65, 125))
    judged = judge("pixels", faces([0, 0], angles(-6, 127), "f"), training, np.arange(4))
    strangers = np.percentile(np.cos(np.deg2rad([60 + 5, 5, 5, 65])), 99.9)
    assert judged.figures["copy_cosine"] == pytest.approx(strangers, abs=1e-6)
    assert judged.figures["num_copies"] == 1
    assert judged.nearest_first.tolist() == [1, 0]


def test_a_face_without_contrast_resembles_nothing() -> None:
    assert not pixel_vectors(np.full((1, 112, 112, 3), 7, np.uint8)).any()


@pytest.mark.parametrize("people", [[0, 1, 2], [0, 0, 0]])
def test_training_faces_that_say_nothing_of_copies_are_refused(people: list[int]) -> None:
    with pytest.raises(DataError, match="two photographs of one of them"):
        judge("pixels", faces([0, 0], angles(1, 2)), faces(people, angles(0, 1, 2)), np.arange(3))


def test_pictures() -> None:
    many = np.stack([face(number % 6) for number in range(70)])
    sheet = draw_sheet(many)
    assert sheet.shape == (896, 896, 3)
    assert np.array_equal(sheet[112:224, 224:336], many[10])
    strip = draw_strip(many[:2], many[2:4], [True, False])
    assert strip.shape == (2 * 124, 2 * 124, 3)
    assert strip[3, 3].tolist() == strip[127, 3].tolist() == list(COPY)
    assert strip[3, 127].tolist() == list(OTHER)
    assert np.array_equal(strip[6:118, 6:118], many[0])
    assert np.array_equal(strip[130:242, 130:242], many[3])
