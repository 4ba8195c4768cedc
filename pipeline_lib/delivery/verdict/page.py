"""One comparison as a self-contained HTML page."""

from pathlib import Path

from pipeline_lib.delivery.report.html import data_uri, render
from pipeline_lib.delivery.verdict.words import (
    DECISION_CAVEAT,
    PROBABILITY_CAVEAT,
    Verdict,
    area_shares,
    chance,
    headline,
    scale,
    why,
)


def as_page(verdict: Verdict) -> str:
    """The page; no script, nothing from outside, every text escaped."""
    shares = area_shares(verdict.contributions)
    largest = max((abs(share.contribution) for share in shares), default=0.0) or 1.0
    values: dict[str, object] = {
        "verdict": verdict,
        "headline": headline(verdict),
        "scale": scale(verdict),
        "chance": chance(verdict.probability),
        "why": why(verdict),
        "picture": None if verdict.png is None else data_uri(verdict.png),
        "shares": [(share, round(100 * abs(share.contribution) / largest)) for share in shares],
        "explained": sum(share.contribution for share in shares),
        "places": [_percent(value) for value in (verdict.similarity, verdict.threshold)] if verdict.is_cosine else None,
        "caveats": [PROBABILITY_CAVEAT, DECISION_CAVEAT, *([verdict.note] if verdict.note else [])],
    }
    return render("verdict.html.j2", values, folder=Path(__file__).parent)


def _percent(similarity: float) -> float:
    """Place of a cosine on the drawn scale from -1 to 1, in percent of its width."""
    return round(50.0 * (1.0 + min(1.0, max(-1.0, similarity))), 2)
