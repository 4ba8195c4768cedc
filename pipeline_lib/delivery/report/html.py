"""Self-contained pages: templates with everything escaped, pictures as data: URLs, nothing from outside."""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")
WEBP_QUALITY = 85
PX_A_POINT = 96 / 72  # CSS's
SVG_SIZE = re.compile(rb'<svg [^>]*width="([0-9.]+)pt" height="([0-9.]+)pt"')


@dataclass(frozen=True)
class Picture:
    """A picture in a page: its data: URL, and its own size in CSS pixels, so that nothing moves while a page is read."""

    uri: str
    width: int
    height: int


def render(template: str, values: dict[str, object], folder: Path = TEMPLATES) -> str:
    """Fill a template; every text is escaped, and a name that is not given raises jinja2.UndefinedError.

    Args:
        template: its path below `folder`; what it includes or imports may lie in `templates/` too.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def data_uri(data: bytes, media_type: str = "image/png") -> str:
    """A picture as a data: URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def photo(png: bytes) -> Picture:
    """A picture with faces in it, as WebP: a sixth of the PNG's size, and a page may have a hundred."""
    import cv2

    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "a picture that the pipeline drew"
    done, data = cv2.imencode(".webp", np.asarray(image), [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    assert done, "a picture that the pipeline drew"
    return Picture(data_uri(data.tobytes(), "image/webp"), image.shape[1], image.shape[0])


def drawing(svg: bytes) -> Picture:
    """A chart of drawing.as_svg, whose size its first tag states in points."""
    found = SVG_SIZE.search(svg)
    assert found is not None, "a drawing of matplotlib's"
    width, height = (round(float(points) * PX_A_POINT) for points in found.groups())
    return Picture(data_uri(svg, "image/svg+xml"), width, height)


def script_digest(script: str) -> str:
    """How a page's policy names the one script that it lets a browser run: SHA-256, base64."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
