"""One comparison as a self-contained HTML page."""

import base64
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from pipeline_lib.delivery.report.areas import AREAS
from pipeline_lib.delivery.report.html import data_uri, render
from pipeline_lib.delivery.verdict.sums import Sums, sums_of
from pipeline_lib.delivery.verdict.words import (
    SHOWN,
    Verdict,
    caveats,
    chance,
    files_in_words,
    headline,
    rests_on,
    scale,
    why,
)
from pipeline_lib.why.explanation.shared.pictures import map_layer, scale_of_maps

FOLDER = Path(__file__).parent
MAX_NAMED = 2  # areas that a map's text alternative names


def as_page(verdict: Verdict, back: str | None = None) -> str:
    """The page; its one script is its own, nothing comes from outside, every text is escaped.

    A policy in its head lets a browser run that script alone, by its digest, and load nothing. `back`: where a served page has a
    form for another comparison; a file has none.
    """
    script = (FOLDER / "verdict.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    sums = sums_of(verdict.terms, verdict.contributions) if verdict.terms else None
    values: dict[str, object] = {
        "verdict": verdict,
        "back": back,
        "headline": headline(verdict),
        "scale": scale(verdict),
        "chance": chance(verdict.probability),
        "why": why(verdict),
        "places": [_percent(value) for value in (verdict.similarity, verdict.threshold)] if verdict.is_cosine else None,
        "caveats": caveats(verdict),
        "photos": None if verdict.shown is None or not verdict.photographs else _photos(verdict, verdict.shown),
        "files": files_in_words(verdict),
        "rests_on": rests_on(verdict),
        "picture": None if verdict.png is None or verdict.faces is not None else data_uri(verdict.png),
        "maps": None if verdict.faces is None or verdict.maps is None else _maps(verdict, verdict.faces, verdict.maps),
        "sums": None if sums is None else _sums(sums, verdict),
        "script": Markup(script),  # the package's own file
        "digest": digest,
    }
    return render("verdict.html.j2", values, folder=FOLDER)


def _photos(verdict: Verdict, shown: tuple[bytes, bytes]) -> list[dict[str, object]]:
    """Both whole photographs, and where on them the box stands, in per cent of their sides."""
    photos = []
    for side, data, one in zip("ab", shown, verdict.photographs, strict=True):
        x0, y0, x1, y1 = one["box"]
        place = (x0 / one["width"], y0 / one["height"], (x1 - x0) / one["width"], (y1 - y0) / one["height"])
        left, top, width, height = (f"{value:.2%}" for value in place)
        box = f"left: {left}; top: {top}; width: {width}; height: {height}"
        photos.append({**one, "side": side, "photo": data_uri(data, "image/jpeg"), "box": box})
    return photos


def _maps(verdict: Verdict, faces: tuple[bytes, bytes], maps: npt.NDArray[np.float32]) -> dict[str, object]:
    """Both faces with what lies over them, and the scale of both."""
    limit, unit = scale_of_maps(maps, bool(verdict.terms))
    shown = [
        {"side": side, "face": data_uri(face), "map": data_uri(map_layer(one, limit)), "text": _map_in_words(one)}
        for side, face, one in zip("ab", faces, maps, strict=True)
    ]
    return {"faces": shown, "limit": f"{limit * unit.scale:.2g}", "unit": unit.name}


def _map_in_words(one: npt.NDArray[np.float32]) -> str:
    """Where a map is strongest, for who does not see it: by the mean over each area of the face."""
    means = {name: float(one[y0:y1, x0:x1].mean()) for name, (x0, y0, x1, y1) in AREAS.items()}
    best = sorted(means, key=lambda name: -means[name])
    supports = [name for name in best[:MAX_NAMED] if means[name] > 0]
    opposes = [name for name in best[: -MAX_NAMED - 1 : -1] if means[name] < 0]
    return (
        f"strongest for a match: {', '.join(supports) or 'nowhere'}; "
        f"strongest against: {', '.join(opposes) or 'nowhere'}"
    )


def _sums(sums: Sums, verdict: Verdict) -> dict[str, object]:
    """Two tables of parts and one of patches, and what the script needs; bars stand on one scale, in percent of its width."""
    one = 10**sums.decimals
    parts = {side: sums.parts(side) for side in "ab"}
    is_whole = abs(sums.total / one - verdict.similarity) <= SHOWN
    threshold = round(verdict.threshold * one) if is_whole else None
    # Whatever patches somebody chooses, their sum lies between that of all negative ones and that of all positive ones.
    ends = [int(np.clip(sums.of(side), *limits).sum()) for side in "ab" for limits in ((None, 0), (0, None))]
    low, high = (end(*ends, 0 if threshold is None else threshold) for end in (min, max))

    def place(units: int) -> float:
        return round(100.0 * (units - low) / ((high - low) or 1), 2)

    tables = [
        {
            "side": side,
            "rows": [
                {
                    "area": part.area,
                    "patches": ",".join(map(str, part.patches)),
                    "adds": sums.printed(part.units),
                    "supports": part.units >= 0,
                    "left": place(min(part.start, part.start + part.units)),
                    "width": round(place(abs(part.units) + low), 2),
                }
                for part in parts[side]
            ],
        }
        for side in "ab"
    ]
    in_a, in_b, places = sums.of("a").tolist(), sums.of("b").tolist(), sums.places()
    return {
        "what": "similarity" if is_whole else "cosine",
        "total": sums.printed(sums.total),
        "is_diagonal": np.count_nonzero(sums.terms) == np.count_nonzero(np.diag(sums.terms)),
        "tables": tables,
        "num": len(places),
        "low": f"{low / one:.2f}",
        "high": f"{high / one:.2f}",
        "threshold": None if threshold is None else place(threshold),
        "patches": [(place, sums.printed(a), sums.printed(b)) for place, a, b in zip(places, in_a, in_b, strict=True)],
        "data": {
            "decimals": sums.decimals,
            "terms": sums.terms.tolist(),
            "boxes": [list(box) for box in sums.boxes],
            "places": places,
            "low": low,
            "high": high,
            "threshold": threshold,
        },
    }


def _percent(similarity: float) -> float:
    """Place of a cosine on the drawn scale from -1 to 1, in percent of its width."""
    return round(50.0 * (1.0 + min(1.0, max(-1.0, similarity))), 2)
