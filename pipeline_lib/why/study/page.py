"""A form as one self-contained HTML page that prints on A4."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline_lib.why.explanation.shared.pictures import OPPOSES, SUPPORTS

PAIRS_A_PAGE = 5  # as in the thesis, Fig. 5.10 to 5.13


@dataclass(frozen=True)
class Row:
    """A pair on paper: `pictures` as draw.pair_tiles gives them; `pair`, its number, or None and the `answer` of an example."""

    pictures: Sequence[bytes]
    pair: int | None = None
    answer: bool | None = None


@dataclass(frozen=True)
class Part:
    """A part of a form, all by one method: whether it `explains`, and its rows."""

    explains: bool
    examples: Sequence[Row]
    questions: Sequence[Row]


def as_page(code: str, parts: Sequence[Part], asks_confidence: bool) -> str:
    """The page: a sheet about the study, then each part's examples and questions, five pairs a sheet.

    No script, nothing from outside, no name but the form's code; the same input gives the same text.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["uri"] = _data_uri
    environment.filters["sheets"] = _sheets
    values = {
        "code": code,
        "parts": parts,
        "asks_confidence": asks_confidence,
        "side_mm": 35 if asks_confidence else 38,  # five pairs fill a sheet of A4; a second line of boxes needs room
        "for": SUPPORTS,
        "against": OPPOSES,
    }
    return environment.get_template("form.html.j2").render(values)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _sheets(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[first : first + PAIRS_A_PAGE] for first in range(0, len(rows), PAIRS_A_PAGE)]
