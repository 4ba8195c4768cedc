"""A search's answer as a self-contained HTML page, without a script."""

from pathlib import Path

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.identify import words
from pipeline_lib.delivery.identify.answer import Identification
from pipeline_lib.delivery.report.html import data_uri, render

FOLDER = Path(__file__).parent


def as_page(found: Identification, back: str | None = None) -> str:
    """The page: the query beside each candidate, what flows between them, and scores on one scale.

    Bars begin at what half of all pairs of two people reach: scores of unlike faces are far above 0, so bars from there would
    all be long. Every text is escaped, and a policy in the head lets a browser run nothing and load nothing.
    `back`: where a served page has a form for another search; a file has none.
    """
    pictures = found.pictures
    assert pictures is not None, "a page is asked for with pictures"
    scores = [one.similarity for one in found.candidates]
    low = min(found.typical, *scores)
    high = 1.0 if found.is_cosine else max(found.limit.threshold, *scores)
    span = (high - low) or 1.0

    def place(score: float) -> float:
        return round(100 * min(1.0, max(0.0, (score - low) / span)), 2)

    rows = [
        {
            "one": one,
            "width": place(one.similarity),
            "strangers": words.strangers(one),
            "face": data_uri(encode_png(face)),
            "flow": None if flow is None else data_uri(encode_png(flow)),
        }
        for one, face, flow in zip(found.candidates, pictures.faces, pictures.flows, strict=True)
    ]
    values: dict[str, object] = {
        "found": found,
        "back": back,
        "headline": words.headline(found),
        "rate": words.rate(found),
        "order": words.order(found),
        "unused": words.unused(found),
        "other_files": words.other_files(found),
        "caveat": words.CAVEAT,
        "query": data_uri(encode_png(pictures.query)),
        "rows": rows,
        "line": place(found.limit.threshold),
        "low": f"{low:.2f}",
        "high": f"{high:.2f}",
        "has_flow": any(row["flow"] for row in rows),
    }
    return render("identify.html.j2", values, folder=FOLDER)
