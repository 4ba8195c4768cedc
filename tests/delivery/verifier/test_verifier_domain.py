"""Which photographs are unlike those of a calibration, which pairs are one photograph twice, and what is kept of both."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file
from tiny_verifier import ABOUT, write_tiny

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import decode_image, encode_png
from pipeline_lib.delivery.verifier.about import REGISTERED, About, read_about, write_about
from pipeline_lib.delivery.verifier.domain import (
    DOMAIN,
    MIN_FACES,
    SHARE,
    fit_domain,
    fit_gaussian,
    read_domain,
    write_domain,
)
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.remarks import SAME_FILE, SAME_PIXELS
from pipeline_lib.delivery.verifier.verifier import Verifier

A, B = example_photographs()


def faces(num: int, seed: int = 0, contrast: float = 1.0) -> np.ndarray:
    """Smooth coloured noise, uint8 (num, 112, 112, 3)."""
    rng = np.random.default_rng(seed)
    small = 128 + 40 * contrast * rng.normal(size=(num, 14, 14, 3))
    fine = small.repeat(8, axis=1).repeat(8, axis=2) + 4 * contrast * rng.normal(size=(num, 112, 112, 3))
    return np.clip(fine + 15 * rng.normal(size=(num, 1, 1, 3)), 0, 255).astype(np.uint8)


def test_others_of_the_same_sort_are_near_and_changed_ones_far() -> None:
    domain = fit_domain(faces(400), None)
    assert domain is not None
    others = faces(400, seed=1)
    assert np.mean(domain.distances(others, None) > 1) < 3 * (1 - SHARE)
    grey = np.repeat(others.mean(axis=3, keepdims=True).astype(np.uint8), 3, axis=3)
    flat = np.full((1, 112, 112, 3), 128, np.uint8)
    for changed in (grey, faces(50, seed=2, contrast=0.3), flat, np.zeros_like(flat)):
        distances = domain.distances(changed, None)
        assert np.isfinite(distances).all()
        assert (distances > 1).mean() > 0.95


def test_the_distance_is_mahalanobis() -> None:
    """Against the formula, written out; the ridge is a thousandth of each column's variance."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6))
    rows, asked = rng.normal(size=(300, 6)) @ mixing, rng.normal(size=(5, 6))
    found = fit_gaussian(rows, 64)
    covariance = np.cov(rows.T)
    covariance += 1e-3 * np.diag(np.diag(covariance))
    apart = asked - rows.mean(axis=0)
    expected = [np.sqrt(one @ np.linalg.solve(covariance, one)) / found.limit for one in apart]
    np.testing.assert_allclose(found.distances(asked), expected, rtol=1e-4)  # kept as float32
    assert (
        0.003 < np.mean(found.distances(rng.normal(size=(5000, 6)) @ mixing) > 1) < 0.03
    )  # a share 0.01 of the next rows


def test_patches_elsewhere_are_far_though_the_pixels_are_alike() -> None:
    rng = np.random.default_rng(1)
    means = (rng.normal(size=(400, 16)) + 3).astype(np.float32)
    domain = fit_domain(faces(400), means)
    assert domain is not None
    others = (rng.normal(size=(50, 16)) + 3 * np.r_[-np.ones(4), np.ones(12)]).astype(np.float32)
    like = domain.distances(faces(50, seed=1), (rng.normal(size=(50, 16)) + 3).astype(np.float32))
    assert np.mean(like > 1) <= 0.1
    assert np.mean(domain.distances(faces(50, seed=1), others) > 1) > 0.9
    assert np.mean(domain.distances(faces(50, seed=1), None) > 1) <= 0.1


def test_too_few_faces_give_no_domain() -> None:
    assert fit_domain(faces(MIN_FACES - 1), None) is None
    assert fit_domain(faces(MIN_FACES), None) is not None


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    assert read_domain(tmp_path) is None
    means = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    for domain in (fit_domain(faces(60), means), fit_domain(faces(60), None)):
        assert domain is not None
        write_domain(tmp_path, domain)
        back = read_domain(tmp_path)
        assert back is not None
        asked = faces(9, seed=3), means[:9]
        np.testing.assert_array_equal(back.distances(*asked), domain.distances(*asked))


@pytest.mark.parametrize("change", ["pixels.limit", "pixels.mean", "pixels.whitening", "no safetensors"])
def test_a_damaged_file_is_refused(change: str, tmp_path: Path) -> None:
    domain = fit_domain(faces(60), None)
    assert domain is not None
    write_domain(tmp_path, domain)
    tensors = load_file(tmp_path / DOMAIN)
    shorter = tensors.get(change, np.zeros(1, np.float32)).ravel()[:-1]
    negative = np.full((), -1.0, np.float32)
    save_file({**tensors, change: negative if change == "pixels.limit" else shorter}, tmp_path / DOMAIN)
    if change == "no safetensors":
        (tmp_path / DOMAIN).write_bytes(b"{}")
    with pytest.raises(DataError, match="damaged"):
        read_domain(tmp_path)


def test_an_answer_says_what_it_rests_on(tmp_path: Path) -> None:
    verifier = Verifier.load(write_tiny(tmp_path))
    (answer,) = verifier.compare([(A, B)], explain=True)
    assert answer.about == ABOUT
    assert answer.rates is not None
    assert (answer.rates.false_matches, answer.rates.num_impostor) == (2, 10)  # TAIL's 0.45 and 0.35 are above 0.3
    assert answer.photographs is not None
    assert answer.shown is not None
    for data, one, shown in zip((A, B), answer.photographs, answer.shown, strict=True):
        height, width = decode_image(data).shape[:2]
        assert (one.width, one.height, len(str(one.sha256))) == (width, height, 64)
        x0, y0, x1, y1 = one.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert Image.open(io.BytesIO(shown)).size == (width, height)


def test_a_face_unlike_the_calibration_s_is_warned_of(tmp_path: Path) -> None:
    verifier = Verifier.load(write_tiny(tmp_path))
    verifier.domain = fit_domain(faces(100), None)
    (answer,) = verifier.compare([(A, B)])
    assert answer.photographs is not None
    assert all(one.distance is not None and one.distance > 1 for one in answer.photographs)
    (warning,) = answer.warnings
    assert warning.startswith("Photographs A and B are unlike those")
    verifier.domain = None
    (answer,) = verifier.compare([(A, B)])
    assert answer.warnings == ()


def test_one_photograph_twice_is_said_to_be_one(tmp_path: Path) -> None:
    verifier = Verifier.load(write_tiny(tmp_path))
    pixels = decode_image(A)
    other = io.BytesIO()
    Image.fromarray(pixels).save(other, "bmp")
    rows = [(A, A), (A, other.getvalue()), (pixels, pixels), (Image.fromarray(pixels), A), (A, B)]
    answers = verifier.compare(rows)
    assert [answer.warnings for answer in answers] == [(SAME_FILE,), *[(SAME_PIXELS,)] * 3, ()]
    assert answers[2].photographs is not None
    assert answers[2].photographs[0].sha256 is None  # pixels have no file
    assert {answer.similarity for answer in answers[1:4]} == {answers[0].similarity}


def test_the_version_is_the_one_that_mlflow_fetched(tmp_path: Path) -> None:
    folder = tmp_path / "artifacts" / "verifier"
    folder.mkdir(parents=True)
    assert read_about(folder) is None
    write_about(folder, ABOUT.model_copy(update={"version": "7"}))
    assert read_about(folder) == ABOUT
    (tmp_path / REGISTERED).write_text("model_name: faces\nmodel_version: '3'\n")
    found = read_about(folder)
    assert isinstance(found, About)
    assert (found.name, found.version, found.made) == ("faces", "3", ABOUT.made)
    (folder / "about.json").write_text('{"colour": 1}')
    with pytest.raises(DataError, match="colour"):
        read_about(folder)


@pytest.mark.parametrize("pixels", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3)), np.zeros((9, 0, 3), np.uint8)])
def test_pixels_of_another_sort_are_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    (answer,) = Verifier.load(write_tiny(tmp_path)).compare([(pixels, encode_png(np.zeros((9, 9, 3), np.uint8)))])
    assert "pixels must be uint8 RGB" in str(answer.error)
