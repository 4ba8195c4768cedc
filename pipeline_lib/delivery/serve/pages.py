"""The server's own pages: the form, the choice of a face, what went wrong, and what the API takes."""

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pipeline_lib.core.errors import PipelineError
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.report.html import data_uri, render
from pipeline_lib.delivery.serve.compared import Seen
from pipeline_lib.delivery.serve.limits import MAX_PHOTOGRAPH_BYTES
from pipeline_lib.matching.verification.calibration import Calibration

FOLDER = Path(__file__).parent
RATES = (0.1, 0.01, 0.001, 0.0001, 0.00001)
LONGEST_SIDE_PX = 800  # of a photograph as it is shown; the one that is compared is not shrunk
THUMBNAIL_PX = 96
HALF_A_FACE = 0.3  # what a thumbnail shows beyond the box, as a share of it

LABELS = {"image_a": "Photograph A", "image_b": "Photograph B", "image": "Photograph"}  # as the form has them
FIELD = re.compile(r"\bimage(_[ab])?(?=:| is| has|\.)")

Page = tuple[str, str]  # the HTML, and the Content-Security-Policy's header that fits it


def form_page(opened: Opened, gallery: Path | None) -> Page:
    """The first page: two photographs to compare and, where there is a gallery, one to look for in it."""
    values = {"model": opened.name, "note": opened.note, "rates": rates(opened.verifier.calibration)}
    more = {"gallery": None if gallery is None else gallery.name, "max_bytes": MAX_PHOTOGRAPH_BYTES}
    return _page("form.html.j2", {**values, **more})


def choice_page(seen: Sequence[Seen], asked: Mapping[str, object], action: str) -> Page:
    """Which face is meant, where a photograph has several; the form sends the photographs along, for none is kept.

    Args:
        seen: the request's photographs; at least one is not `chosen`.
        asked: what else was asked for, to be sent again.
        action: where the form goes.
    """
    sides = [
        {
            "field": one.field,
            "face_field": one.field.replace("image", "face"),
            "name_field": one.field.replace("image", "name"),
            "name": one.photograph.name,
            "data": base64.b64encode(one.photograph.data).decode(),
            "size": (one.pixels.shape[1], one.pixels.shape[0]),
            "shown": _jpeg(_shrunk(one.pixels, LONGEST_SIDE_PX)),
            "faces": [
                {"box": [round(float(edge), 1) for edge in face.box], "thumbnail": _jpeg(_around(one.pixels, face.box))}
                for face in one.faces
            ],
            "chosen": _largest(one) if one.chosen is None else one.chosen,
        }
        for one in seen
    ]
    kept = {name: value for name, value in asked.items() if value is not None and not name.startswith(("face", "name"))}
    return _page("choice.html.j2", {"sides": sides, "asked": kept, "action": action})


def problem_page(error: PipelineError | str) -> Page:
    """What went wrong, and the way back."""
    what, *details = FIELD.sub(lambda found: LABELS[found[0]], str(error)).splitlines()
    return _page("problem.html.j2", {"what": what, "details": [line.strip() for line in details]})


def api_page(operations: Sequence[Mapping[str, object]]) -> Page:
    """What the API takes, with nothing from outside."""
    return _page("api.html.j2", {"operations": operations})


def rates(calibration: Calibration) -> list[tuple[float, str]]:
    """The false-match rates that the model's pairs can show, and each in words."""
    if not calibration.slope:
        return []
    return [(rate, f"1 in {1 / rate:,.0f}") for rate in RATES if rate * calibration.impostors.num_pairs >= 1]


def _page(template: str, values: Mapping[str, object]) -> Page:
    nonce = secrets.token_urlsafe(16)
    script = Markup((FOLDER / "serve.js").read_text(encoding="utf-8"))  # the package's own file
    policy = (
        f"default-src 'none'; img-src data: blob:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
    return render(template, {**values, "nonce": nonce, "script": script}, folder=FOLDER), policy


def _largest(seen: Seen) -> int:
    sides = np.stack([face.box[2:] - face.box[:2] for face in seen.faces])
    return int(sides.prod(axis=1).argmax())


def _around(pixels: npt.NDArray[np.uint8], box: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The part of a photograph around a face, at most THUMBNAIL_PX long."""
    margin = HALF_A_FACE * (box[2:] - box[:2])
    x0, y0 = np.maximum(0, box[:2] - margin).astype(int)
    x1, y1 = np.ceil(box[2:] + margin).astype(int)
    return _shrunk(pixels[y0:y1, x0:x1], THUMBNAIL_PX)


def _shrunk(pixels: npt.NDArray[np.uint8], longest_px: int) -> npt.NDArray[np.uint8]:
    scale = longest_px / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = [max(1, round(scale * side)) for side in (pixels.shape[1], pixels.shape[0])]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _jpeg(pixels: npt.NDArray[np.uint8]) -> str:
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]))
    assert done, "a picture of three channels"
    return data_uri(data.tobytes(), "image/jpeg")
