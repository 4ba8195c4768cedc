"""Self-contained pages: templates with everything escaped, pictures as data: URLs, no script and nothing from outside."""

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).with_name("templates")


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


def svg_uri(data: bytes) -> str:
    """A drawing as a data: URL."""
    return data_uri(data, "image/svg+xml")
