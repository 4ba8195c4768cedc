"""The charts of a page as files: what its "Save as SVG" gives, each under the same name."""

import base64
import re
from html.parser import HTMLParser

SVG = "data:image/svg+xml;base64,"
MAX_NAME = 80


class _Images(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "img" and (source := values.get("src") or "").startswith(SVG):
            self.found.append((values.get("alt") or "", source.removeprefix(SVG)))


def charts_in(page: str) -> dict[str, bytes]:
    """Every chart of a page by its file's name, which its text alternative gives; a second one of a name gets a number."""
    images = _Images()
    images.feed(page)
    charts: dict[str, bytes] = {}
    for alt, data in images.found:
        stem = re.sub(r"[^A-Za-z0-9]+", "-", alt).strip("-").lower()[:MAX_NAME]
        names = (f"{stem}{f'-{number}' if number > 1 else ''}.svg" for number in range(1, len(images.found) + 1))
        charts[next(name for name in names if name not in charts)] = base64.b64decode(data)
    return charts
