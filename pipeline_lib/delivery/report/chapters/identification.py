"""Identification: how well every score finds a person in a gallery, and refuses those who are not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.figures import Curve, cmc_figure
from pipeline_lib.delivery.report.html import drawing
from pipeline_lib.delivery.report.inputs import read_curves
from pipeline_lib.delivery.report.score_words import BASELINE, score_words
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, headline_scores, named, protocols_of

ORDER = 26
TITLE = "Identification"
NEEDS = ("verify/cmc.csv", "verify/metrics.json")

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Identification:
    """Figures by protocol and score, and CMC curves likewise: ranks and shares."""

    metrics: Metrics
    curves: Mapping[str, Mapping[str, Curve]]


def read(data: Path) -> Identification | None:
    """None where no protocol is a search.

    Raises:
        DataError: a file is missing or damaged.
    """
    curves: dict[str, dict[str, Curve]] = {}
    for (protocol, score), curve in read_curves(
        data / "verify" / "cmc.csv", ("protocol", "score"), "rank", "share"
    ).items():
        curves.setdefault(protocol, {})[score] = curve
    return Identification(read_json(data / "verify" / "metrics.json"), curves) if curves else None


def show(found: Identification, about: About) -> dict[str, object]:
    """A table of all searches, and a picture of each."""
    searches = {protocol: found.metrics[protocol] for protocol in found.curves}
    columns = {name for scores in (*searches.values(), *found.curves.values()) for name in scores}
    words = {name: score_words(name, about.params.scores) for name in columns}
    pictures = []
    for protocol in protocols_of(found.curves):
        curves = {words[name]: found.curves[protocol][name] for name in headline_scores(found.curves[protocol])}
        pictures.append((protocol, drawing(cmc_figure(curves, [words.get(BASELINE, BASELINE)]))))
    return {"searches": search_table(searches, words), "pictures": pictures}


def search_table(metrics: Metrics, words: Mapping[str, str]) -> Table:
    """A row a protocol and score of kind identification: ranks of the closed set, TPIR at FPIR of the open one.

    `words`: see tables.headline_table.
    """
    rows = [
        (protocol, score, metrics[protocol][score])
        for protocol in protocols_of(metrics)
        for score in headline_scores(metrics[protocol])
    ]
    keys = dict.fromkeys(key for _, _, row in rows for key in row)
    ranks = sorted((key for key in keys if key.startswith("rank@")), key=lambda key: int(key.partition("@")[2]))
    tpirs = sorted((key for key in keys if key.startswith("tpir@")), key=lambda key: -float(key.partition("@")[2]))
    columns = [f"rank {key.partition('@')[2]}" for key in ranks]
    columns += [f"TPIR@FPIR {key.partition('@')[2]}" for key in tpirs]
    lines = [
        (
            protocol,
            named(score, words),
            *(NO_FIGURE if row.get(key) is None else f"{100 * row[key]:.2f} %" for key in (*ranks, *tpirs)),
            *(str(row[name]) for name in ("num_gallery", "num_probes", "num_mated", "num_strangers")),
        )
        for protocol, score, row in rows
    ]
    begins = tuple(number == 0 or line[0] != lines[number - 1][0] for number, line in enumerate(lines))
    columns += ["gallery", "probes", "with a mate", "strangers"]
    return Table(("protocol", "score", *columns), tuple(lines), begins)
