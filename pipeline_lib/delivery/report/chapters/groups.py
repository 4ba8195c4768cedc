"""Groups: errors of people or photographs of one kind beside those of others, at one threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import read_json
from pipeline_lib.delivery.report.chapter import About
from pipeline_lib.delivery.report.inputs import Rows, read_csv
from pipeline_lib.delivery.report.score_words import score_words
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, headline_scores
from pipeline_lib.matching.verification.groups import MIN_ERRORS, MIN_PEOPLE, RATES
from pipeline_lib.params.scores import Score

ORDER = 24
TITLE = "Groups"
NEEDS = ("verify/groups.csv", "verify/metrics.json")

Metrics = Mapping[str, Mapping[str, Mapping[str, Any]]]


@dataclass(frozen=True)
class Groups:
    """Rows of data/verify/groups.csv, the figures by protocol and score, and the registered score; None without one."""

    rows: Rows
    metrics: Metrics
    registered: str | None


def read(data: Path) -> Groups | None:
    """None where params name no groups, or nothing is known of any pair.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows, registered = read_csv(data / "verify" / "groups.csv"), data / "register" / "registered.json"
    if not rows:
        return None
    said: Mapping[str, Any] = read_json(registered) if registered.is_file() else {"version": None}
    score = None if said["version"] is None else str(said["metric"]["score"])
    return Groups(rows, read_json(data / "verify" / "metrics.json"), score)


def show(found: Groups, about: About) -> dict[str, object]:
    """The groups of one score, the registered one or else the first, and how far they are apart by every score."""
    scores = list(dict.fromkeys(row["score"] for row in found.rows))
    score = found.registered if found.registered in scores else scores[0]
    return {
        "score": score_words(score, about.params.scores),
        "by_group": group_table([row for row in found.rows if row["score"] == score]),
        "spreads": spread_table(found.rows, found.metrics, about.params.scores),
        "min_errors": MIN_ERRORS,
        "min_people": MIN_PEOPLE,
    }


def group_table(rows: Rows) -> Table:
    """A row a group, of one score: its errors, in brackets where the group is too small to tell."""
    tars = [name for name in rows[0] if name.startswith("tar@")]
    lines, begins = [], []
    for number, row in enumerate(rows):
        key = (row["protocol"], row["attribute"])
        begins.append(number == 0 or key != (rows[number - 1]["protocol"], rows[number - 1]["attribute"]))
        errors = [_percent(row[rate], rate in row["told"].split()) for rate in ("fmr", "fnmr")]
        counts = row["num_people"], f"{row['num_genuine']} + {row['num_impostor']}"
        figures = _percent(row["accuracy"]), *errors, *(_percent(row[name]) for name in tars)
        lines.append((*key, row["group"], row["note"], *figures, *counts))
    columns = ("protocol", "by", "group", "", "accuracy", "FMR", "FNMR")
    named = (f"TAR@FAR {name.removeprefix('tar@')}" for name in tars)
    return Table((*columns, *named, "people", "pairs"), tuple(lines), tuple(begins), num_words=4)


def spread_table(rows: Rows, metrics: Metrics, scores: Mapping[str, Score]) -> Table | None:
    """A row a protocol, attribute and score of which two groups or more are told; None where there is none."""
    lines: list[tuple[str, ...]] = []
    for protocol, attribute in dict.fromkeys((row["protocol"], row["attribute"]) for row in rows):
        for score in headline_scores(metrics[protocol]):
            figures = metrics[protocol][score]
            spreads = [figures.get(f"{rate}_spread_by_{attribute}") for rate in RATES]
            ratio = figures.get(f"fmr_ratio_by_{attribute}")
            if any(spread is not None for spread in spreads):
                shown = (NO_FIGURE if spread is None else f"{100 * spread:.2f}" for spread in spreads)
                lines.append(
                    (
                        protocol,
                        attribute,
                        score_words(score, scores),
                        *shown,
                        NO_FIGURE if ratio is None else f"{ratio:.2f}",
                    )
                )
    columns = ("protocol", "by", "score", "accuracy, points", "FMR, points", "FNMR, points", "FMR, ratio")
    return Table(columns, tuple(lines), _begins(lines), num_words=3) if lines else None


def _begins(lines: Sequence[tuple[str, ...]]) -> tuple[bool, ...]:
    return tuple(number == 0 or line[:2] != lines[number - 1][:2] for number, line in enumerate(lines))


def _percent(text: str, is_told: bool = True) -> str:
    if not text:
        return NO_FIGURE
    shown = f"{100 * float(text):.2f} %"
    return shown if is_told else f"({shown})"
