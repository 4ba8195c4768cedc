"""Verifier.compare: inputs, errors a row, additivity, one detection a picture."""

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_verifier import CALIBRATION, SCORERS, THRESHOLD, settings, write_tiny

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import CheckpointError, DataError, PipelineError
from pipeline_lib.core.files import sha256_file
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.verifier.encoder import Encoder
from pipeline_lib.delivery.verifier.example import example_photographs
from pipeline_lib.delivery.verifier.files import NETWORKS, SCORER, read_settings, write_verifier
from pipeline_lib.delivery.verifier.reasons import GRADIENTS, WHOLE
from pipeline_lib.delivery.verifier.region_sum import WORDS
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.networks.backbones.shared.checkpoints import DESCRIPTION

A, B = example_photographs()
NO_FACE = encode_png(np.full((120, 120, 3), 90, np.uint8))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def verifier(files: Path) -> Verifier:
    return Verifier.load(files)


def test_all_kinds_of_input_mean_the_same(verifier: Verifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.png").write_bytes(A)
    text = base64.b64encode(A).decode()
    in_lines = base64.encodebytes(A).decode()
    kinds = [A, bytearray(A), memoryview(A), Path("a.png"), tmp_path / "a.png", text, in_lines]
    answers = verifier.compare([(kind, B) for kind in [*kinds, f"data:image/png;base64,{text}"]])
    assert {answer.error for answer in answers} == {None}
    assert len({answer.similarity for answer in answers}) == 1


def test_answer_follows_the_calibration(verifier: Verifier) -> None:
    (answer, same) = verifier.compare([(A, B), (A, A)])
    assert answer.similarity is not None
    assert answer.probability == pytest.approx(1 / (1 + np.exp(-(10 * answer.similarity - 3))), abs=1e-12)  # float64
    assert answer.threshold == THRESHOLD
    assert answer.match == (answer.similarity > THRESHOLD)
    assert same.similarity == pytest.approx(1.0, abs=1e-6)  # float32 unit vectors
    assert same.match is True
    assert (answer.explanation, answer.contributions, answer.png) == (None, (), None)


def test_one_call_may_decide_elsewhere(verifier: Verifier) -> None:
    (plain,), (strict,), (lax,) = (
        verifier.compare([(A, B)], **asked) for asked in ({}, {"fmr": 0.1}, {"threshold": -0.9})
    )
    assert strict.similarity == lax.similarity == plain.similarity
    assert (plain.threshold, plain.prior) == (0.3, 0.5)
    assert strict.threshold == pytest.approx(0.35)  # the second highest of the ten pairs of two people
    assert strict.prior == pytest.approx(1 / (1 + np.exp(10 * 0.05)))  # slope 10, 0.05 above where the odds are even
    assert (lax.match, lax.threshold) == (True, -0.9)
    assert lax.probability > 0.5
    assert strict.basis is not None
    assert "1 of 10 pairs of two people (val) are above it, 10.00%" in strict.basis
    with pytest.raises(DataError, match="cannot be told"):
        verifier.compare([(A, B)], fmr=0.05)


def test_a_score_at_the_threshold_is_no_match(files: Path) -> None:
    verifier = Verifier.load(files)
    (score,) = (answer.similarity for answer in verifier.compare([(A, B)]))
    assert score is not None
    below = float(np.nextafter(score, -2.0))
    for threshold, match in ((score, False), (below, True)):
        verifier.calibration = replace(verifier.calibration, threshold=threshold)
        (answer,) = verifier.compare([(A, B)])
        assert (answer.similarity, answer.threshold, answer.match) == (score, threshold, match)


def test_contributions_sum_to_the_similarity(verifier: Verifier) -> None:
    (answer,) = verifier.compare([(A, B)], explain=True)
    assert answer.explanation == WHOLE
    assert answer.png is not None
    boxes = [(part.x, part.y, part.w, part.h) for part in answer.contributions]
    assert boxes == [tuple(box) for box in verifier.encoder.networks["rrfnet"].grid.tolist()]
    for side in ("contribution_a", "contribution_b"):
        total = sum(getattr(part, side) for part in answer.contributions)
        assert total == pytest.approx(answer.similarity, abs=1e-6)  # float32 features, float64 sums
    assert answer.png.startswith(b"\x89PNG")


def test_bad_pictures_spoil_their_own_rows_only(verifier: Verifier) -> None:
    truncated = A[: len(A) // 2]
    rows: list[tuple[Any, Any]] = [
        (A, B),
        (NO_FACE, B),
        (A, b""),
        (truncated, NO_FACE),
        (A, None),
        (float("nan"), B),
        (B, A),
    ]
    answers = verifier.compare(rows, explain=True)
    for good in (answers[0], answers[-1]):
        assert good.error is None
        assert good.png is not None
    for bad, sides in zip(answers[1:-1], (["a"], ["b"], ["a", "b"], ["b"], ["a"]), strict=True):
        assert bad.error is not None
        assert [side for side in ("a", "b") if f"image_{side}:" in bad.error] == sides
        assert (bad.similarity, bad.match, bad.probability, bad.explanation, bad.png) == (None,) * 5
        assert bad.contributions == ()
        assert bad.threshold == THRESHOLD
    assert "no face" in str(answers[1].error)
    assert "empty" in str(answers[2].error)
    assert "truncated" in str(answers[3].error)
    assert "NoneType" in str(answers[4].error)


def test_only_bad_rows_and_no_rows(verifier: Verifier) -> None:
    assert verifier.compare([]) == []
    (answer,) = verifier.compare([(NO_FACE, NO_FACE)])
    assert answer.error is not None


def test_each_picture_is_detected_once(files: Path) -> None:
    verifier = Verifier.load(files)
    detector, calls = verifier.detector, []

    class Counting:
        def detect(self, images: Any) -> Any:
            calls.append(len(images))
            return detector.detect(images)

    verifier.detector = Counting()
    verifier.compare([(A, B), (B, A), (A, A), (NO_FACE, A), (NO_FACE, B)])
    assert sum(calls) == 3


def test_too_many_pixels_are_refused(verifier: Verifier) -> None:
    large = encode_png(np.zeros((2001, 2000, 3), np.uint8))
    (answer,) = verifier.compare([(large, B)])
    assert "too large" in str(answer.error)


def test_calibration_without_the_score(files: Path, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    (folder / "calibration.json").write_text("{}")
    with pytest.raises(DataError, match="lacks the verifier's score"):
        Verifier.load(folder)


def test_settings_with_an_unknown_key(files: Path, tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    known = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(json.dumps({**known, "colour": 1}))
    with pytest.raises(DataError, match="colour"):
        Verifier.load(folder)
    assert read_settings(files) == settings("cosine:rrfnet")


def test_detector_weights_are_the_models_own(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path)
    (folder / "detector").mkdir()
    (folder / "detector" / "weights.pth").write_bytes(b"x")
    with pytest.raises(PipelineError, match="dlib detector takes no weights"):
        Verifier.load(folder)


def test_missing_network_is_named(files: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="rrfnet"):
        Encoder.load(tmp_path, SCORERS["cosine:rrfnet"], mirror=True)
    with pytest.raises(DataError, match="allowed: \\['rrfnet'\\]"):
        Encoder(SCORERS["cosine:rrfnet"].needs, {}, mirror=True)


def test_anchors_of_another_state_of_the_network_are_refused(tmp_path: Path) -> None:
    """And what registered models have no need of, and which names the training people, is not in them."""
    files = write_tiny(tmp_path, "dam:r")
    (weights,) = (files / NETWORKS / "rrfnet").glob("*.safetensors")
    scorer = files / SCORER / "scorer.json"
    state = json.loads(scorer.read_text())
    for digest, fits in ((sha256_file(weights), True), ("0" * 64, False)):
        scorer.write_text(json.dumps({**state, "values": {**state["values"], "weights_digest": digest}}))
        if fits:
            assert Verifier.load(files).scorer.weights_digest == digest
        else:
            with pytest.raises(CheckpointError, match="another state of its network"):
                Verifier.load(files)


def test_class_weights_stay_at_home(tmp_path: Path) -> None:
    files = write_tiny(tmp_path, "cosine:rrfnet")
    trained = tmp_path / "trained" / "rrfnet"
    (trained / "classes.json").write_text("{}")
    shutil.rmtree(files)
    write_verifier(
        files, settings("cosine:rrfnet"), CALIBRATION, None, SCORERS["cosine:rrfnet"], {"rrfnet": trained}, None
    )
    assert {path.name for path in (files / NETWORKS / "rrfnet").iterdir()} == {"network.json", "network.safetensors"}


def test_a_students_reasons_are_said_to_be_its_own(tmp_path: Path) -> None:
    files = write_tiny(tmp_path)
    network = files / NETWORKS / "rrfnet" / DESCRIPTION
    network.write_text(json.dumps({**json.loads(network.read_text()), "taught_by": "dlib_resnet"}))
    (answer,) = Verifier.load(files).compare([(A, B)], explain=True)
    assert str(answer.explanation).startswith(WHOLE)
    assert str(answer.explanation).endswith("its own reasons, not those of dlib_resnet.")


@pytest.mark.parametrize("score", SCORERS)
def test_every_score_answers_and_says_what_explains_it(score: str, tmp_path: Path) -> None:
    verifier = Verifier.load(write_tiny(tmp_path, score))
    plain = verifier.compare([(A, B), (B, A)])
    assert plain[0].similarity == pytest.approx(plain[1].similarity, abs=1e-6)  # every one is symmetric; float32
    (answer,) = verifier.compare([(A, B)], explain=True)
    assert answer.similarity == plain[0].similarity
    network = verifier.encoder.whole_face
    assert answer.png is not None
    assert answer.maps is not None
    assert answer.faces is not None
    total = sum(part.contribution_a for part in answer.contributions)
    if network is None:
        assert (answer.explanation, answer.method) == (WORDS, "regions")
        assert total == pytest.approx(answer.similarity, abs=1e-6)  # a float32 score
        return
    if not network.additive:
        assert str(answer.explanation).startswith("The map shows which pixels the")
        assert (answer.explanation == GRADIENTS) == score.startswith("cosine:")
        assert (answer.method, answer.contributions) == ("xssab", ())
        return
    assert answer.method == "additive"
    np.testing.assert_allclose(
        np.array(answer.terms).sum(axis=1), [part.contribution_a for part in answer.contributions], atol=1e-12
    )
    np.testing.assert_allclose(answer.maps.sum(axis=(1, 2), dtype=np.float64), total, atol=1e-5)  # float32 pixels
    faces = verifier.encoder.encode(np.stack([aligned(verifier, photo) for photo in (A, B)]))
    assert faces.vectors is not None
    vectors = faces.vectors if verifier.scorer.mean is None else faces.vectors - verifier.scorer.mean
    assert total == pytest.approx(float(cosine(vectors[0], vectors[1])), abs=1e-5)
    if score.startswith("cosine"):
        assert total == pytest.approx(answer.similarity, abs=1e-5)
        assert answer.explanation == WHOLE
    else:
        assert f"{total:.3f}, the cosine of the network's embeddings" in str(answer.explanation)
        assert score in str(answer.explanation)


def aligned(verifier: Verifier, photo: bytes) -> Any:
    align = verifier.settings.align
    decoded = decode_photo(photo, verifier.settings.max_pixels)
    return align_photo(decoded, verifier.detector, align.several_faces, align.min_face_px)[0]
