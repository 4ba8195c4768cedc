"""From params to a detector; a detector's libraries are imported, and its files read, only when it is named."""

from pathlib import Path

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.faces.detection.face import Detector
from pipeline_lib.data.faces.detection.largest import LargestFirst
from pipeline_lib.params.align import Align

KINDS = ("mmod", "dlib", "retinaface_resnet50", "retinaface_mobilenet", "retinaface_pytorch")
WITH_A_DOWNLOAD = ("retinaface_resnet50", "retinaface_pytorch")


def detector_weights(align: Align) -> Path | None:
    """The checkpoint of the detector as an absolute path, None for one that needs none.

    What is published and not named is downloaded: here, once, instead of in every worker.

    Raises:
        DownloadError: see detection.weights.fetch.
    """
    if align.weights_file is not None:
        return align.weights_file.absolute()
    if align.detector not in WITH_A_DOWNLOAD:
        return None
    from pipeline_lib.data.faces.detection.weights import resnet50_weights

    return resnet50_weights().absolute()


def make_detector(
    kind: str,
    weights: Path | None,
    min_score: float,
    min_face_px: int,
    device: str = "cpu",
    *,
    largest_only: bool = False,
) -> Detector:
    """Build the detector named `kind`.

    Args:
        kind: one of KINDS.
        weights: the checkpoint; None for a detector that brings its own or downloads it.
        min_score: lowest score of a face that is returned. mmod, dlib: the network's score or the HOG classifier's margin, 0.0 is
            dlib's own default, higher is stricter. RetinaFace: probability in (0, 1), 0.9 is usual.
        min_face_px: the smallest face that must be found: how far a photograph is shrunk or enlarged before the search.
        device: where mmod and our RetinaFace compute, as torch names it: cpu, cuda, cuda:1. The others compute on the CPU.
        largest_only: the largest face is all that is wanted (align.several_faces), which spares large photographs their finest
            search; see LargestFirst.

    Raises:
        ParamsError: an unknown kind, a score outside the detector's range, weights for a detector that has none, or a
            package that is not installed.
        CheckpointError, DownloadError: the weights are missing or wrong.
    """
    check_detector(kind, weights, min_score)
    if largest_only:
        return LargestFirst(lambda least_px: make_detector(kind, weights, min_score, least_px, device), min_face_px)
    if kind == "mmod":
        from pipeline_lib.data.faces.detection.mmod import MmodDetector

        return MmodDetector(min_score, min_face_px, device)
    if kind == "dlib":
        from pipeline_lib.data.faces.detection.dlib import DlibDetector

        return DlibDetector(min_score, min_face_px)
    if kind == "retinaface_pytorch":
        from pipeline_lib.data.faces.detection.retinaface_package import RetinafacePytorchDetector

        return RetinafacePytorchDetector.from_weights(weights, min_score, min_face_px)
    from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector

    return RetinafaceDetector.from_weights(kind.removeprefix("retinaface_"), weights, min_score, min_face_px, device)


def check_detector(kind: str, weights: Path | None, min_score: float) -> None:
    """What make_detector refuses before it reads anything; see there.

    Raises:
        ParamsError: see make_detector.
    """
    if kind not in KINDS:
        raise ParamsError("There is no such face detector.", got=kind, allowed=", ".join(KINDS), where="align.detector")
    if kind in ("mmod", "dlib"):
        if weights is not None:
            raise ParamsError(
                f"The {kind} detector takes no weights.", got=weights, allowed="data/none", where="align.weights"
            )
        return
    if not 0.0 < min_score < 1.0:
        raise ParamsError(
            f"The score of {kind} is a probability.",
            got=min_score,
            allowed="0 < min_score < 1, usually 0.9",
            where="align.min_score",
        )
    if kind == "retinaface_mobilenet" and weights is None:
        raise ParamsError(
            "retinaface_mobilenet has no download of its own.",
            got="data/none",
            allowed="the path of a MobileNet-0.25 checkpoint (.pth)",
            where="align.weights",
        )
    if kind == "retinaface_pytorch":
        from pipeline_lib.data.faces.detection.retinaface_package import check_package

        check_package()
