"""Self-contained pages: templates with everything escaped, pictures as data: URLs, no script and nothing from outside."""

import base64
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")
WEBP_QUALITY = 85


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


def photo_uri(png: bytes) -> str:
    """A picture with faces in it as a data: URL, as WebP: a sixth of the PNG's size, and a page may have a hundred."""
    import cv2

    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    done, data = cv2.imencode(".webp", np.asarray(image), [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    assert done, "a picture that the pipeline drew"
    return data_uri(data.tobytes(), "image/webp")


def svg_uri(data: bytes) -> str:
    """A drawing as a data: URL."""
    return data_uri(data, "image/svg+xml")
