"""The registered verifier without MLflow: pairs of photographs to similarity, decision, probability and reasons."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.data.faces.align_photo import align_photo
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.face import Detector
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.photo import PhotoError, decode_photo
from pipeline_lib.delivery.verifier.pictures_in import read_picture
from pipeline_lib.matching.verification.calibration import Calibration, read_calibrations
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.why.explanation.shared.pictures import pair_picture
from pipeline_lib.why.explanation.shared.rrf_map import contribution_matrix, patch_contributions, pixel_map

NETWORK, CALIBRATION, SETTINGS, DETECTOR_WEIGHTS = "network", "calibration", "settings", "detector_weights"
BATCH_SIZE = 32


@dataclass(frozen=True)
class Settings:
    """How a photograph becomes an embedding, as in the rebuild that calibrated the scores; see params.load.Align.

    `score` names the calibration. `mirror` adds the mirrored image's features. `max_pixels` refuses larger photographs.
    """

    score: str
    detector: str
    min_score: float
    several_faces: str
    min_face_px: int
    max_pixels: int
    mirror: bool

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read settings.json; raises DataError if keys are missing or unknown."""
        try:
            return cls(**read_json(path))
        except TypeError as error:
            raise DataError("The verifier's settings have other keys.", got=error, where=path) from error


@dataclass(frozen=True)
class Contribution:
    """What one patch adds to the similarity: x y w h in px of the aligned 112x112 faces; each column sums to it."""

    x: int
    y: int
    w: int
    h: int
    contribution_a: float
    contribution_b: float


@dataclass(frozen=True)
class Comparison:
    """One pair's answer; on an `error` there is no figure. `png` shows both faces and what carried the score."""

    threshold: float
    similarity: float | None = None
    match: bool | None = None
    probability: float | None = None
    error: str | None = None
    contributions: tuple[Contribution, ...] | None = None
    png: bytes | None = None


@dataclass(frozen=True)
class _Face:
    aligned: npt.NDArray[np.uint8]  # (112, 112, 3) RGB
    embedding: npt.NDArray[np.float32]  # (D,)
    patches: npt.NDArray[np.float32]  # (K, C)


class Verifier:
    """Compares photographs with one network, one detector and one calibration.

    Args:
        network: in eval mode; an rrfnet where explanations are asked for.
        detector: finds the faces.
        calibration: of the cosine of this network's embeddings.
        settings: see there.
    """

    def __init__(self, network: FaceNetwork, detector: Detector, calibration: Calibration, settings: Settings) -> None:
        self.network, self.detector = network, detector
        self.calibration, self.settings = calibration, settings

    @classmethod
    def load(cls, artifacts: Mapping[str, Path]) -> "Verifier":
        """Build it from the model's files: network, calibration, settings and, where it has one, detector_weights.

        Raises:
            CheckpointError, DataError: a file is missing or damaged, or the calibration lacks the settings' score.
        """
        settings = Settings.read(artifacts[SETTINGS])
        calibrations = read_calibrations(artifacts[CALIBRATION])
        if settings.score not in calibrations:
            raise DataError(
                "The calibration lacks the verifier's score.",
                got=", ".join(sorted(calibrations)),
                allowed=settings.score,
                where=artifacts[CALIBRATION],
            )
        detector = make_detector(settings.detector, artifacts.get(DETECTOR_WEIGHTS), settings.min_score)
        return cls(load_network(artifacts[NETWORK]), detector, calibrations[settings.score], settings)

    def compare(self, pairs: Sequence[tuple[object, object]], explain: bool = False) -> list[Comparison]:
        """Compare each pair of pictures; a picture that appears several times is detected and embedded once.

        similarity = cos(e_a, e_b) in [-1, 1]; match = similarity > threshold; probability by the calibration.

        Args:
            pairs: (image_a, image_b), each as pictures_in.read_picture takes it.
            explain: also give contributions (RRFNet eq. 8; they sum to the similarity) and the picture.

        Returns:
            One answer a pair, in order. A pair with a picture that has no usable face, or is no picture, has `error` set
            and no figures; the others are not touched by it.

        Raises:
            DataError: `explain` for a network that is no rrfnet.
        """
        if explain and self.network.spec.arch != "rrfnet":
            raise DataError("Only an rrfnet explains itself.", got=self.network.spec.arch, allowed="rrfnet")
        problems: dict[str, str] = {}
        crops: dict[str, npt.NDArray[np.uint8]] = {}
        keys = [tuple(self._prepare(value, crops, problems) for value in pair) for pair in pairs]
        faces = self._embed(crops)
        answers = []
        for key_a, key_b in keys:
            errors = [f"image_{side}: {problems[key]}" for side, key in (("a", key_a), ("b", key_b)) if key in problems]
            if errors:
                answers.append(Comparison(self.calibration.threshold, error="; ".join(errors)))
            else:
                answers.append(self._compare_faces(faces[key_a], faces[key_b], explain))
        return answers

    def _prepare(self, value: object, crops: dict[str, npt.NDArray[np.uint8]], problems: dict[str, str]) -> str:
        """Align the picture's face unless its bytes were seen before; returns the key of its crop or problem."""
        try:
            data = read_picture(value, self.settings.max_pixels)
        except PhotoError as error:
            key = f"unread {len(problems)}"
            problems[key] = _in_words(error)
            return key
        key = hashlib.sha256(data).hexdigest()
        if key in crops or key in problems:
            return key
        try:
            photo = decode_photo(data, self.settings.max_pixels)
            crops[key] = align_photo(photo, self.detector, self.settings.several_faces, self.settings.min_face_px)[0]
        except (PhotoError, FaceReject) as error:
            problems[key] = _in_words(error)
        return key

    def _embed(self, crops: Mapping[str, npt.NDArray[np.uint8]]) -> dict[str, _Face]:
        if not crops:
            return {}
        images = np.stack(list(crops.values()))
        embeddings, patches = embed_images(self.network, images, self.settings.mirror, BATCH_SIZE)
        return {key: _Face(*parts) for key, *parts in zip(crops, images, embeddings, patches, strict=True)}

    def _compare_faces(self, a: _Face, b: _Face, explain: bool) -> Comparison:
        similarity = float(cosine(a.embedding, b.embedding))
        answer = Comparison(
            threshold=self.calibration.threshold,
            similarity=similarity,
            match=bool(self.calibration.matches(similarity)),
            probability=float(self.calibration.probability(similarity)),
        )
        if not explain:
            return answer
        terms = contribution_matrix(a.patches, b.patches)
        carried_a, carried_b = patch_contributions(terms)
        boxes = self.network.grid
        contributions = tuple(
            Contribution(x, y, w, h, float(c_a), float(c_b))
            for (x, y, w, h), c_a, c_b in zip(boxes.tolist(), carried_a, carried_b, strict=True)
        )
        maps = (pixel_map(carried_a, boxes), pixel_map(carried_b, boxes))
        png = pair_picture(a.aligned, b.aligned, *maps, terms, boxes, threshold=answer.threshold)
        return replace(answer, contributions=contributions, png=png)


def _in_words(error: PhotoError | FaceReject) -> str:
    return f"{error.reason.replace('_', ' ')} ({error.detail})"
