"""The registered verifier without MLflow: pairs of photographs to similarity, decision, probability and reasons."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.face import Detector, Face
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.photo import PhotoError, decode_photo
from pipeline_lib.delivery.verifier.about import About, read_about
from pipeline_lib.delivery.verifier.answers import Comparison, Rates
from pipeline_lib.delivery.verifier.chosen import ChosenFace
from pipeline_lib.delivery.verifier.domain import Domain, read_domain
from pipeline_lib.delivery.verifier.encoder import Encoder, patch_means
from pipeline_lib.delivery.verifier.files import (
    IMPOSTORS,
    NETWORKS,
    SCORER,
    Settings,
    detector_file,
    read_calibration,
    read_settings,
)
from pipeline_lib.delivery.verifier.methods import AUTO, chosen_method
from pipeline_lib.delivery.verifier.photograph import Taken, take_in
from pipeline_lib.delivery.verifier.pictures_in import Picture, take_picture
from pipeline_lib.delivery.verifier.reasons import with_reasons
from pipeline_lib.delivery.verifier.remarks import warnings_of
from pipeline_lib.matching.scores.shared.saved import load_scorer
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.matching.verification.calibration import Calibration
from pipeline_lib.matching.verification.impostors import Impostors, read_impostors

Image = npt.NDArray[np.uint8]


class Verifier:
    """Compares photographs with one score, the networks it needs, one detector and one calibration.

    Args:
        scorer: of the column settings.score.
        encoder: gives what the scorer needs.
        detector: finds the faces.
        calibration: of the column.
        settings: see there.
        impostors: of the column; None of a model that an earlier version registered.
        about: what the model says of itself; None likewise.
        domain: of the photographs that it was calibrated on; None likewise.
    """

    def __init__(
        self,
        scorer: Scorer,
        encoder: Encoder,
        detector: Detector,
        calibration: Calibration,
        settings: Settings,
        impostors: Impostors | None,
        about: About | None = None,
        domain: Domain | None = None,
    ) -> None:
        self.scorer, self.encoder, self.detector = scorer, encoder, detector
        self.calibration, self.settings, self.impostors = calibration, settings, impostors
        self.about, self.domain = about, domain

    @classmethod
    def load(cls, folder: Path) -> "Verifier":
        """Read what files.write_verifier wrote.

        Raises:
            CheckpointError, DataError: a file is missing or damaged, or the calibration lacks the settings' score.
        """
        settings = read_settings(folder)
        calibration = read_calibration(folder, settings.score)
        scorer = load_scorer(folder / SCORER)
        encoder = Encoder.load(folder / NETWORKS, scorer, settings.embed.mirror)
        align = settings.align
        largest_only, weights = align.several_faces == "largest", detector_file(folder)
        detector = make_detector(align.detector, weights, align.min_score, align.min_face_px, largest_only=largest_only)
        known = read_impostors(folder / IMPOSTORS), read_about(folder), read_domain(folder)
        return cls(scorer, encoder, detector, calibration, settings, *known)

    def compare(
        self,
        pairs: Sequence[tuple[object, object]],
        explain: bool = False,
        method: str = AUTO,
        check: bool = False,
        draw: bool = True,
        fmr: float | None = None,
        threshold: float | None = None,
        calibration: Calibration | None = None,
    ) -> list[Comparison]:
        """Compare each pair of pictures; a picture that appears several times is detected and embedded once.

        similarity = the score of both faces, the same function that filled its column of the score table; match =
        similarity > threshold; probability by the calibration.

        Args:
            pairs: (image_a, image_b), each as pictures_in.read_picture takes it, or a ChosenFace.
            explain: also say which parts of the faces the score comes from (reasons).
            method: of the explanation, see methods.chosen_method.
            check: also say whether a second method points at the same parts; embeds 98 images more a pair.
            fmr, threshold: decide at this false-match rate or threshold, not at the calibration's; at most one of them.
            calibration: in place of the verifier's own.
            draw: also draw an explained answer's `png`, both faces and their maps, which takes longer than the maps.

        Returns:
            One answer a pair, in order. A pair with a picture that has no usable face, or is no picture, has `error` set
            and no figures; the others are not touched by it.

        Raises:
            DataError: two faces have no score (a feature of length 0).
            ParamsError: `method` explains no such model.
            DataError: no such threshold, or false-match rate, is to be had (Calibration.deciding).
        """
        calibration = (calibration or self.calibration).deciding(fmr, threshold)
        chosen = chosen_method(method, self.encoder.whole_face)
        problems: dict[str, str] = {}
        taken: dict[str, Taken] = {}
        keys = [
            (self._prepare(a, taken, problems, explain), self._prepare(b, taken, problems, explain)) for a, b in pairs
        ]
        good = {pair for pair in keys if not problems.keys() & set(pair)}
        answers = self._compare_faces(taken, sorted(good), calibration, chosen if explain else None, check, draw)
        return [answers.get((a, b)) or self._refused(a, b, problems, calibration) for a, b in keys]

    def aligned(self, data: bytes, face: Face | None = None) -> Image:
        """The one face of an encoded photograph, or the one of them that was chosen, uint8 (112, 112, 3); raises as take_in."""
        return take_in(Picture(data, None), self.settings, self.detector, face).crop

    def faces(self, data: bytes) -> tuple[Image, list[Face]]:
        """An encoded photograph, uint8 (H, W, 3), and its faces that count, from left to right; see choose_face.

        Raises:
            PhotoError: it is no picture; see decode_photo.
        """
        photo = decode_photo(data, self.settings.max_pixels)
        least_px = self.settings.align.min_face_px
        found = [face for face in self.detector.detect([photo])[0] if (face.box[2:] - face.box[:2]).min() >= least_px]
        return photo, sorted(found, key=lambda face: (float(face.box[0]), float(face.box[1])))

    def _prepare(self, value: object, taken: dict[str, Taken], problems: dict[str, str], is_shown: bool) -> str:
        """Take the picture in unless its bytes were seen before; returns the key of what was taken in, or of its problem."""
        value, face = (value.picture, value.face) if isinstance(value, ChosenFace) else (value, None)
        try:
            picture = take_picture(value, self.settings.max_pixels)
        except PhotoError as error:
            key = f"unread {len(problems)}"
            problems[key] = in_words(error)
            return key
        key = picture.sha256 or f"pixels {hashlib.sha256(picture.data).hexdigest()}"
        key += "" if face is None else f" {face.box.tolist()}"
        if key in taken or key in problems:
            return key
        try:
            taken[key] = take_in(picture, self.settings, self.detector, face, is_shown)
        except (PhotoError, FaceReject) as error:
            problems[key] = in_words(error)
        return key

    def _compare_faces(
        self,
        taken: Mapping[str, Taken],
        pairs: Sequence[tuple[str, str]],
        calibration: Calibration,
        method: str | None,
        check: bool,
        draw: bool,
    ) -> dict[tuple[str, str], Comparison]:
        if not pairs:
            return {}
        crops = np.stack([one.crop for one in taken.values()])
        faces = self.encoder.encode(crops)
        distances: Sequence[float | None] = [None] * len(crops)
        if self.domain is not None:
            distances = self.domain.distances(crops, patch_means(self.encoder.whole_face, crops)).tolist()
        row_of = {key: row for row, key in enumerate(taken)}
        rows = np.array([[row_of[key] for key in pair] for pair in pairs], np.int64)
        answers = {}
        empty = self._empty(calibration)
        scores = self.scorer.score(faces.take(rows[:, 0]), faces.take(rows[:, 1]))
        for pair, (a, b), score in zip(pairs, rows, scores.tolist(), strict=True):
            both = taken[pair[0]], taken[pair[1]]
            photographs = both[0].photograph(distances[a]), both[1].photograph(distances[b])
            answer = replace(
                empty,
                similarity=score,
                match=bool(calibration.matches(score)),
                probability=float(calibration.probability(score)),
                prior=calibration.prior,
                basis=calibration.basis,
                photographs=photographs,
                warnings=warnings_of(both, photographs),
            )
            if method is not None:
                sides = faces.take(np.array([a])), faces.take(np.array([b]))
                answer = with_reasons(
                    answer, self.settings.score, self.scorer, self.encoder, *sides, method, check, draw
                )
                shown_a, shown_b = both[0].shown, both[1].shown
                answer = replace(answer, shown=None if shown_a is None or shown_b is None else (shown_a, shown_b))
            answers[pair] = answer
        return answers

    def _empty(self, calibration: Calibration) -> Comparison:
        """An answer before there are photographs."""
        tail = calibration.impostors
        missed, num_genuine = calibration.misses() or (None, None)
        return Comparison(
            calibration.threshold,
            score=self.settings.score,
            is_cosine=self.scorer.is_cosine,
            note=self.settings.note,
            about=self.about,
            rates=Rates(tail.above(calibration.threshold), tail.num_pairs, missed, num_genuine),
        )

    def _refused(self, a: str, b: str, problems: Mapping[str, str], calibration: Calibration) -> Comparison:
        errors = [f"image_{side}: {problems[key]}" for side, key in (("a", a), ("b", b)) if key in problems]
        return replace(self._empty(calibration), error="; ".join(errors))


def in_words(error: PhotoError | FaceReject) -> str:
    """Its reason and detail."""
    return f"{error.reason.replace('_', ' ')} ({error.detail})"
