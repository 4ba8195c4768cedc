"""The PyPI package retinaface-pytorch 0.0.8 behind our interface."""

import contextlib
import copy
import importlib.util
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.data.faces.detection.face import Face, Image, check_images
from pipeline_lib.data.faces.detection.resize import limit_longest_side
from pipeline_lib.data.faces.detection.retinaface import MAX_IOU
from pipeline_lib.data.faces.detection.retinaface_boxes import non_maximum_suppression
from pipeline_lib.data.faces.detection.retinaface_network import VARIANTS
from pipeline_lib.data.faces.detection.retinaface_scales import LONGEST_SIDE_PX, search_twice
from pipeline_lib.data.faces.detection.weights import read_state, resnet50_weights

PACKAGES = ("retinaface", "torchvision", "albumentations", "albucore", "simsimd", "stringzilla")


class RetinafacePytorchDetector:
    """Adapter: one picture at a time, boxes and scores as the package rounds them (two decimals).

    The package enlarges every picture to one longest side. Here each keeps its size, or is shrunk and searched twice as for our
    own network, so that both backends see the same pixels and small photographs cost what they should.

    Args:
        model: retinaface.predict_single.Model with its weights loaded.
        min_score: probability in (0, 1); a face scores above this.
        min_face_px: the smallest face that must be found.
    """

    def __init__(self, model: Any, min_score: float, min_face_px: int) -> None:
        self._model = model
        self._min_score = min_score
        self._min_face_px = min_face_px

    @classmethod
    def from_weights(cls, weights: Path | None, min_score: float, min_face_px: int) -> "RetinafacePytorchDetector":
        """Build from a checkpoint, by default the one the package's author published.

        Raises:
            ParamsError: the package is not installed.
            CheckpointError, DownloadError: see read_state and resnet50_weights.
        """
        predict_single = import_package()
        path = weights or resnet50_weights()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*'(pretrained|weights)'.*", category=UserWarning)
            model = predict_single.Model(max_size=LONGEST_SIDE_PX, device="cpu")
        try:
            model.load_state_dict(read_state(path))
        except RuntimeError as error:
            raise CheckpointError(
                "The checkpoint is not retinaface-pytorch's ResNet-50.", got=error, where=path
            ) from None
        model.eval()
        return cls(model, min_score, min_face_px)

    def detect(self, images: Sequence[Image]) -> list[list[Face]]:
        """See Detector."""
        check_images(images)
        variant = VARIANTS["resnet50"]
        return search_twice(images, self._detect_within, variant.anchor_px[0][0], variant.reach_px, self._min_face_px)

    def _detect_within(self, images: Sequence[Image], sides_px: Sequence[int]) -> list[list[Face]]:
        return [self._detect_one(image, side_px) for image, side_px in zip(images, sides_px, strict=True)]

    def _detect_one(self, image: Image, side_px: int) -> list[Face]:
        image, scale = limit_longest_side(image, side_px)
        albumentations = importlib.import_module("albumentations")
        keep_size = albumentations.LongestMaxSize(max_size=max(image.shape[:2]), p=1)
        # The copy shares the network; the transform is this picture's, whatever other threads ask.
        model = copy.copy(self._model)
        model.transform = albumentations.Compose([keep_size, albumentations.Normalize(p=1)])
        answers = model.predict_jsons(image, confidence_threshold=self._min_score, nms_threshold=MAX_IOU)
        return [
            Face(
                np.array(answer["bbox"], dtype=np.float32) * np.tile(scale, 2),
                float(answer["score"]),
                np.array(answer["landmarks"], dtype=np.float32) * scale,
            )
            for answer in answers
            if answer["score"] >= 0.0  # "no face" is one entry of score -1
        ]


def import_package() -> Any:
    """Import retinaface.predict_single, mending torchvision's missing operators beside a CPU build of torch.

    Raises:
        ParamsError: see check_package.
    """
    check_package()
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # albumentations asks PyPI for newer versions when imported
    _supply_torchvision_operators()
    from retinaface import predict_single

    return predict_single


def check_package() -> None:
    """Raises ParamsError where the package or something it needs is not installed; nothing is imported."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ParamsError(
            "The detector retinaface_pytorch needs packages that are not installed; run `make retinaface`.",
            got=f"missing: {', '.join(missing)}",
            allowed="pip install --no-deps -r requirements-retinaface.txt",
            where="align.detector",
        )


def _supply_torchvision_operators() -> None:
    """Define torchvision's nms with our own, where its compiled operators do not load.

    The torchvision of PyPI is compiled for CUDA; beside a CPU torch its library fails to load, and `import torchvision`
    then stops at the fake versions of nms and qnms, which nobody defined. Where the library loads, and from the second
    call on, there is nothing to do.
    """
    package = importlib.util.find_spec("torchvision")
    assert package is not None, "import_package checks it"
    assert package.origin is not None, "torchvision is no namespace package"
    for library in Path(package.origin).parent.glob("_C*.so"):
        with contextlib.suppress(OSError):  # the CUDA libraries it wants are not there: the case to mend
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
    if hasattr(torch.ops.torchvision, "nms"):
        return
    for name in ("torchvision::nms", "torchvision::qnms"):
        torch.library.define(name, "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        torch.library.impl(name, "CPU", _nms)
    import torchvision

    # Only now: while it is imported, True would make it register gradients of operators that do not exist.
    torchvision.extension._has_ops = lambda: True


def _nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    return torch.from_numpy(non_maximum_suppression(dets.numpy(), scores.numpy(), iou_threshold))
