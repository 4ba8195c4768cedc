"""xFace: against loops written another way, by hand, its symmetries, dlib as the black box, and what it refuses."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import dlib
import numpy as np
import pytest
import torch

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.backbones import dlib_resnet
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.why.explanation import xface
from pipeline_lib.why.explanation.shared.confidence import Confidence
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.occluders import occluders
from pipeline_lib.why.explanation.xface import xface_maps

RNG = np.random.default_rng(0)


class BlackBox:
    """A function of images, and no more."""

    def __init__(self, embed: Callable[[np.ndarray], np.ndarray], images_per_batch: int = 50) -> None:
        self.embed, self.images_per_batch = embed, images_per_batch
        self.batches: list[int] = []

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.batches.append(len(images))
        return self.embed(images)

    def pair(self, faces: np.ndarray) -> EmbeddedPair:
        inputs = (faces.transpose(0, 3, 1, 2) / 127.5 - 1).astype(np.float32)
        return EmbeddedPair(faces, self.embed(inputs), None)


def projected(images: np.ndarray) -> np.ndarray:
    """tanh of drawn combinations of the means of 8x8 px."""
    weights = np.random.default_rng(5).normal(size=(3 * 14 * 14, 20))
    means = images.reshape(-1, 3, 14, 8, 14, 8).mean(axis=(3, 5)).reshape(len(images), -1)
    return np.tanh(means @ weights / 5).astype(np.float32)


def slow_maps(embed: Callable, faces: np.ndarray, variant: int, squares: np.ndarray) -> np.ndarray:
    """Masks of whole images, distances pair by pair, the blur as a sum over shifted maps."""
    images = faces.transpose(0, 3, 1, 2) / 127.5 - 1

    def distance(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a.astype(np.float64), b.astype(np.float64)
        return 1 - float(a @ b) / float(np.sqrt(a @ a) * np.sqrt(b @ b))

    clean = embed(images.astype(np.float32))
    maps = np.zeros((2, 112, 112))
    for size in (7, 14, 28):
        masks = []
        for x, y, w, _ in squares[squares[:, 2] == size]:
            mask = np.zeros((112, 112), bool)
            mask[y : y + w, x : x + w] = True
            masks.append(mask)
        under = [embed(np.array([np.where(mask, -1, image) for mask in masks], np.float32)) for image in images]
        for own in (0, 1):
            total = np.zeros((112, 112))
            for i, mask in enumerate(masks):
                e = under[own][i]
                if variant == 1:
                    d = np.mean([distance(e, other) for other in under[1 - own]])
                elif variant == 2:
                    d = distance(e, clean[1 - own])
                else:
                    d = distance(e, under[1 - own][i])
                total += mask * (d - distance(*clean)) / size**2
            maps[own] += blurred_slowly(total / len(masks)) / 3
    return maps / np.abs(maps).max(axis=(1, 2), keepdims=True)


def blurred_slowly(one: np.ndarray) -> np.ndarray:
    steps = np.arange(-2, 3)
    weights = np.exp(-(steps**2) / 50)
    wide = np.pad(one, 2, mode="reflect")
    total = sum(weights[i] * weights[j] * wide[i : i + 112, j : j + 112] for i in range(5) for j in range(5))
    return total / weights.sum() ** 2


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_maps_are_those_of_loops(faces, variant):
    box, squares = BlackBox(projected), occluders()[::7]
    found = xface_maps(box, box.pair(faces), variant, squares)
    np.testing.assert_allclose(found, slow_maps(projected, faces, variant, squares), atol=1e-5)  # float32 embeddings
    assert np.abs(found).max() == pytest.approx(1)
    assert found.min() < 0 < found.max() or variant == 3  # the same square on both makes any two faces more alike
    assert np.array_equal(*found) == (variant == 3)


def test_a_black_box_sees_1130_images_a_face_in_batches(faces):
    box = BlackBox(projected)
    pair = box.pair(faces)
    found = xface.explain(box, pair, xface.Settings(variant=2), RNG)
    assert box.batches == ([50] * 22 + [30]) * 2
    assert found.score == pair.score
    assert found.terms is None


def brightness_of_the_eye(images: np.ndarray) -> np.ndarray:
    """(1, how bright the square of 14 px at x 20, y 40 is): both faces need a bright one to be alike."""
    bright = images[:, :, 40:54, 20:34].mean(axis=(1, 2, 3)) + 1
    return np.stack([np.ones_like(bright), bright], axis=1).astype(np.float32)


@pytest.mark.parametrize("variant", [1, 2])
def test_what_makes_two_faces_alike_is_positive_and_what_parts_them_negative(variant):
    white, half = np.full((112, 112, 3), 255, np.uint8), np.full((112, 112, 3), 128, np.uint8)
    alike, apart = (np.stack([white, other]) for other in (white, half))
    box = BlackBox(brightness_of_the_eye)
    for_match = xface_maps(box, box.pair(alike), variant, occluders())
    assert (for_match > -1e-6).all()
    peaks = [np.unravel_index(one.argmax(), one.shape) for one in for_match]
    assert all(40 <= y < 54 and 20 <= x < 34 for y, x in peaks)
    if variant == 2:  # 1 adds what covering the partner does on average to every place
        assert not for_match[:, 90:, 70:].any()
    # Covered a little, the brighter one gets nearer to the other.
    against = xface_maps(box, box.pair(apart), 2, occluders()[:441])[0]
    assert against.min() == pytest.approx(-1)
    assert 40 <= np.unravel_index(against.argmin(), against.shape)[0] < 54


def test_one_square_by_hand():
    """Seen, A is (1, 0); under the square it is (0, 1): the distance to B = (1, 0) grows by 1 on the square."""
    faces = np.full((2, 112, 112, 3), 255, np.uint8)

    def turned(images: np.ndarray) -> np.ndarray:
        seen = (images[:, 0, 50, 60] > 0).astype(np.float32)
        return np.stack([seen, 1 - seen], axis=1)

    box = BlackBox(turned)
    far, near = np.array([0, 0, 7, 7]), np.array([56, 46, 14, 14])
    found = xface_maps(box, box.pair(faces), 2, np.stack([far, near]))
    assert found[0, 50, 60] == 1.0
    assert found[0, 2, 2] == 0.0  # the far square changed nothing
    kernel = np.exp(-(np.arange(-2, 3) ** 2) / 50)
    assert found[0, 53, 55] == pytest.approx(kernel[:2].sum() / kernel.sum(), abs=1e-6)  # a pixel left of it
    assert found[0, 53, 53] == 0.0


def test_growths_by_hand():
    unit = np.array([[1, 0], [0.6, 0.8]], np.float32)  # d(A, B) = 0.4
    a, b = np.array([[2, 0], [0, 3]], np.float32), np.array([[0.6, 0.8], [1, 0]], np.float32)
    first, second, third = (xface.distance_growths(unit, a, b, variant) for variant in (1, 2, 3))
    # d(a_s, b_t): 0.4, 0 / 0.2, 1
    np.testing.assert_allclose(first, [[-0.2, 0.2], [-0.1, 0.1]], atol=1e-7)
    np.testing.assert_allclose(second, [[0, -0.2], [0, -0.4]], atol=1e-7)
    np.testing.assert_allclose(third, [[0, 0.6]] * 2, atol=1e-7)


def test_mirrored_faces_have_mirrored_maps(network_named, faces):
    """With mirrored features a face and its mirror image have one embedding; squares are a mirrored set of themselves."""
    embedder = Embedder(network_named("rrfnet56"), True, images_per_batch=8)
    squares = np.array([[x, y, 14, 14] for x in (3, 40, 58, 95) for y in (10, 60)])
    maps = [
        xface_maps(embedder, embedder.pair(two), 2, squares) for two in (faces, np.stack([faces[0, :, ::-1], faces[1]]))
    ]
    np.testing.assert_allclose(
        maps[1][0], maps[0][0][:, ::-1], atol=0.02
    )  # distances change by 1e-4, to float32's 1e-6


def test_dlib_as_a_black_box_is_explained_like_our_network_of_it():
    """dlib takes 8-bit chips; given the same rounded chips the two agree to float32, given ours to the rounding of pixels."""
    rng = np.random.default_rng(1)
    faces = np.stack([cv2.resize(rng.uniform(0, 255, (9, 9, 3)), (112, 112)) for _ in range(2)]).astype(np.uint8)
    network = initial_network(dlib_resnet.Spec(), 0, None).eval()
    model = dlib.face_recognition_model_v1(str(package_file(dlib_resnet.FILE)))

    def chips(images: np.ndarray) -> torch.Tensor:
        return network.chips(torch.from_numpy(np.ascontiguousarray(images))).round().clamp(0, 255)

    def theirs(images: np.ndarray) -> np.ndarray:
        rounded = chips(images).byte().permute(0, 2, 3, 1).contiguous().numpy()
        return np.array([model.compute_face_descriptor(chip) for chip in rounded], np.float32)

    @torch.inference_mode()
    def rounded(images: np.ndarray) -> np.ndarray:
        return network.of_chips(chips(images))[0].numpy()

    squares = np.array([[30, 40, 28, 28], [70, 80, 14, 14], [50, 20, 28, 28]])
    dlibs, same = (xface_maps(box, box.pair(faces), 2, squares) for box in (BlackBox(theirs, 2), BlackBox(rounded, 2)))
    ours = Embedder(network, False, images_per_batch=2)
    direct = xface_maps(ours, ours.pair(faces, with_patches=False), 2, squares)
    np.testing.assert_allclose(dlibs, same, atol=1e-3)  # descriptors to 1e-5 (test_backbones_dlib), growths are 1e-2
    np.testing.assert_allclose(dlibs, direct, atol=0.03)  # half a grey level of noise in each pixel of the chip


def test_the_confidence_is_that_of_the_decision(network_named, faces):
    """Of a match c, of no match 1 - c; none where nobody fitted one."""
    network = network_named("iresnet")
    score = Embedder(network, False, images_per_batch=64).pair(faces, with_patches=False).score
    for threshold, expected in ((score - 0.1, 0.8), (score + 0.1, 0.2)):
        flat = Confidence(0.8, 0.8, 1.0, 1.0, threshold)
        embedder = Embedder(network, False, images_per_batch=64, threshold=threshold, confidence=flat)
        assert few_squares(embedder, faces).confidence == pytest.approx(expected)
    assert few_squares(Embedder(network, False, images_per_batch=64), faces).confidence is None


def few_squares(embedder: Embedder, faces: np.ndarray) -> Explanation:
    """xFace's explanation; the squares are those of 28 px alone, for time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xface, "occluders", lambda: occluders()[-9:])
        pair = embedder.pair(faces, with_patches=False)
        return xface.explain(embedder, pair, xface.Settings(), np.random.default_rng(0))


def test_nothing_learned_is_a_map_of_zeros(faces):
    constant = BlackBox(lambda images: np.tile(np.float32([3, 4]), (len(images), 1)))
    jitter = BlackBox(lambda images: np.float32([3, 4]) + 1e-7 * images[:, 0, 50, 50:52])  # less than float32 resolves
    for box in (constant, jitter):
        for variant in (1, 2, 3):
            found = xface_maps(box, box.pair(faces), variant, occluders()[::9])
            np.testing.assert_array_equal(found, np.zeros((2, 112, 112), np.float32))
    box = BlackBox(projected)
    dark = xface_maps(box, box.pair(np.stack([np.zeros_like(faces[0]), faces[1]])), 2, occluders()[::9])
    assert not dark[0].any()  # black squares on a black picture
    assert np.abs(dark[1]).max() == pytest.approx(1)


def test_what_cannot_be_explained_is_named(faces):
    box = BlackBox(projected)
    pair = box.pair(faces)
    squares = occluders()[::100]
    for bad in (pair.images[:, :100], pair.images[:1], pair.images.astype(np.float32)):
        with pytest.raises(DataError, match=r"aligned faces[\s\S]*uint8 \(2, 112, 112, 3\)"):
            xface_maps(box, replace(pair, images=bad), 1, squares)

    def broken(images: np.ndarray, value: float) -> np.ndarray:
        vectors = projected(images)
        vectors[images[:, 0, 5, 30] == -1] = value
        return vectors

    seen = faces.copy()
    seen[:, 5, 30] = 9
    for value in (0.0, np.nan, np.inf):
        box = BlackBox(lambda images, value=value: broken(images, value))
        with pytest.raises(
            DataError, match=r"occluded face is zero, NaN[\s\S]*1 of 3[\s\S]*square of 14 px at x 25, y 0"
        ):
            xface_maps(box, box.pair(seen), 1, np.array([[0, 50, 7, 7], [25, 0, 14, 14], [60, 60, 28, 28]]))
    with pytest.raises(DataError, match="feature vector is zero"):
        xface_maps(box, replace(pair, embeddings=pair.embeddings * 0), 1, squares)
    with pytest.raises(DataError, match="differ in length"):
        xface_maps(BlackBox(lambda images: projected(images)[:, :5]), pair, 1, squares)
    with pytest.raises(DataError, match="no embedding for each image"):
        xface_maps(BlackBox(lambda images: projected(images)[:1]), pair, 1, squares)
