"""Re-ranking in figures: an entry's kinds of queries, and all entries side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.claims.ranked import entry_words
from pipeline_lib.delivery.report.strips import FirstPlaces
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, marked, sign_of

ALL = "all"  # the row of all kinds together
METRICS = ("p_at_1", "rp", "map_at_r")
KIND_COLUMNS = ("queries", "number", "P@1 by cosine", "re-ranked", "change", "perfect", "RP", "MAP@R", "right / spoilt")
# Shown where one is not 0.
FAULTS = {"num_left_out": "left out", "num_nothing_carried": "skipped", "num_not_converged": "not converged"}


@dataclass(frozen=True)
class Speed:
    """What stage 2 took, medians: seconds a query on one thread, candidate pairs a second on all of its threads."""

    query_s: float
    pairs_per_s: float


@dataclass(frozen=True)
class Figures:
    """An entry for the table of all: its params, what metrics.json says of each kind of query, and its speed."""

    entry: Mapping[str, Any]
    kinds: Mapping[str, Mapping[str, Any]]
    speed: Speed


def kinds_table(kinds: Mapping[str, Mapping[str, Any]], places: FirstPlaces) -> Table:
    """An entry's figures in per cent, a row a kind of query; "all" last.

    Args:
        kinds: of data/rerank/<entry>/metrics.json.
        places: of ranks.parquet beside it.

    Raises:
        DataError: a kind lacks a figure, or the two files disagree.
    """
    rows: list[tuple[str, ...]] = []
    groups: list[bool] = []
    signs: dict[tuple[int, int], int] = {}
    faults = [key for key in FAULTS if any(row.get(key) for row in kinds.values())]
    for kind in sorted(kinds, key=lambda kind: (kind == ALL, kind)):
        row = kinds[kind]
        among = np.logical_or(kind == ALL, pc.equal(places.kinds, kind).to_numpy(zero_copy_only=False))
        try:
            first = [_percent(row[stage]["p_at_1"]) for stage in ("cosine", "reranked")]
            change, bound = _points(row["change"]["p_at_1"]), _percent(row["bound"]["p_at_1"], with_interval=False)
            others = [
                " → ".join(_percent(row[stage][metric], with_interval=False) for stage in ("cosine", "reranked"))
                for metric in METRICS[1:]
            ]
            counts = [str(row[key]) for key in faults]
            num_right = [round(row[stage]["p_at_1"]["value"] * row["num_queries"]) for stage in ("cosine", "reranked")]
        except (KeyError, TypeError) as error:
            raise DataError("Re-ranking metrics lack a figure.", got=f"{kind} without {error}") from error
        counted = [int(right[among].sum()) for right in (places.before, places.after)]
        if counted != num_right:
            problem = "Ranks and metrics of a re-ranking disagree; rerun the rerank stage."
            raise DataError(problem, got=f"{kind}: {counted} first places right, of P@1 {num_right}")
        signs[len(rows), KIND_COLUMNS.index("change")] = sign_of(row["change"]["p_at_1"])
        changed = " / ".join(str(int(rows_of[among].sum())) for rows_of in (places.mended, places.spoilt))
        rows.append((kind, str(row["num_queries"]), *first, change, bound, *others, changed, *counts))
        groups.append(kind == ALL)
    columns = (*KIND_COLUMNS, *(FAULTS[key] for key in faults))
    return Table(columns, tuple(rows), tuple(groups), 1, **marked(signs))


def summary_table(entries: Mapping[str, Figures]) -> Table:
    """All entries on all of their queries, in per cent, as the thesis's Tables 5.2 and 5.3: cosine alone, the bound, each entry.

    A group is a gallery, its cosines and its queries; in it the best of each column among cosine and entries is marked.
    """
    groups: dict[tuple[object, ...], dict[str, Figures]] = {}
    for name, figures in entries.items():
        own = figures.entry
        groups.setdefault((own["network"], own["centred"], own["queries"]), {})[name] = figures
    rows: list[tuple[str, ...]] = []
    starts: list[bool] = []
    best: set[tuple[int, int]] = set()
    for (network, centred, queries), members in groups.items():
        any_member = next(iter(members.values())).kinds[ALL]
        about = f"{network}{', centred' if centred else ''}{', its own gallery' if queries == 'gallery' else ''}"
        settings: list[tuple[str, str, Mapping[str, Any], Speed | None]] = [
            (about, "cosine alone", any_member["cosine"], None)
        ]
        settings += [
            (name, f"{item.entry['kind']}: {entry_words(item.entry)}", item.kinds[ALL]["reranked"], item.speed)
            for name, item in members.items()
        ]
        for column, metric in enumerate(METRICS, start=2):
            values = [stage[metric]["value"] for _, _, stage, _ in settings]
            best |= {(len(rows) + row, column) for row, value in enumerate(values) if value == max(values)}
        bounds = {item.entry["top_k"]: item.kinds[ALL]["bound"] for item in members.values()}
        settings += [
            ("", f"perfect, {'the whole gallery' if k is None else f'the first {k}'}", bound, None)
            for k, bound in bounds.items()
        ]
        for number, (name, words, stage, speed) in enumerate(settings):
            times = (
                (NO_FIGURE, NO_FIGURE)
                if speed is None
                else (f"{speed.pairs_per_s:,.0f}", f"{1000 * speed.query_s:,.3g}")
            )
            rows.append((name, words, *(_percent(stage[metric]) for metric in METRICS), *times))
            starts.append(number == 0)
    columns = ("entry", "setting", "P@1", "RP", "MAP@R", "pairs/s", "ms a query")
    return Table(columns, tuple(rows), tuple(starts), num_words=2, best=frozenset(best))


def searched_words(search: Mapping[str, Any]) -> str:
    """How stage 1 searched, where it did not look at all of the gallery; empty where it did."""
    if search["index"] == "exact":
        return ""
    return f"Stage 1 searched by {search['index']} and found {100 * search['recall']:.1f} % of the exact candidates."


def speed_of(num_pairs: Sequence[int], num_threads: Sequence[int], seconds: Sequence[float]) -> Speed:
    """From the columns of schemas.rerank_seconds.RERANK_SECONDS; the first block's queries also wait for code to be compiled."""
    of_pairs = float(np.median(np.asarray(num_pairs) / np.asarray(seconds)))
    return Speed(float(np.median(seconds)), of_pairs * int(num_threads[0]))


def _percent(figure: Mapping[str, Any], with_interval: bool = True) -> str:
    return _with_ends(figure, "{:.1f}") if with_interval else f"{100 * figure['value']:.1f}"


def _points(figure: Mapping[str, Any]) -> str:
    return _with_ends(figure, "{:+.1f}").replace("-", "−")


def _with_ends(figure: Mapping[str, Any], form: str) -> str:
    value = form.format(100 * figure["value"])
    if figure["low"] is None:
        return value
    return f"{value} [{form.format(100 * figure['low'])}, {form.format(100 * figure['high'])}]"
