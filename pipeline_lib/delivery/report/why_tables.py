"""What was measured of a network's explanations, as tables: means over the same pairs with their 95 % intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline_lib.core.bootstrap import Estimate, IdentityBootstrap
from pipeline_lib.delivery.report.drawing import Band
from pipeline_lib.delivery.report.tables import NO_FIGURE, Table, marked, sign_of
from pipeline_lib.why.explanation.shared.rank_correlation import map_correlation
from pipeline_lib.why.faithfulness.decisions import SHOWN_SHARE, errors
from pipeline_lib.why.faithfulness.means import resampled

AREAS = {
    "insertion_auc": "insertion, blur ↑",
    "deletion_auc": "deletion, grey ↓",
    "insertion_grey_auc": "insertion, grey ↑",
    "deletion_blur_auc": "deletion, blur ↓",
}
LESS_IS_BETTER = {"deletion_auc", "deletion_blur_auc"}
RATES = {False: "FPR", True: "FNR"}

Rows = dict[tuple[str, str], dict[str, Any]]  # of one protocol, by pair


@dataclass(frozen=True)
class Explained:
    """What one entry of `explanations` measured (schemas FAITHFULNESS, BLURRING, LATENCY, SANITY, MAPS) and metrics.json."""

    metrics: Mapping[str, Any]
    faithfulness: pa.Table
    blurring: pa.Table
    latency: pa.Table
    sanity: pa.Table
    maps: pa.Table


Entries = Mapping[str, Explained]


def areas_table(entries: Entries) -> Table:
    """The four areas, and the share of patches whose partner is at their own position where a method splits the score."""
    shares = "same place, %"
    rows, groups = [], []
    for protocol in _protocols(item.faithfulness for item in entries.values()):
        for number, (name, item) in enumerate(entries.items()):
            of_it = list(_rows(item.faithfulness, protocol).values())
            if not of_it:
                continue
            sample = resampled([(row["identity"], row["identity"]) for row in of_it])
            cells = [_mean(sample, [row[column] for row in of_it]) for column in AREAS]
            same = [row["same_position_share"] for row in of_it]
            cells.append(NO_FIGURE if None in same else _mean(sample, same, percent=True))
            rows.append((protocol, name, *cells, str(len(of_it))))
            groups.append(number == 0)
    return Table(("protocol", "explanation", *AREAS.values(), shares, "pairs"), tuple(rows), tuple(groups))


def differences_table(entries: Entries) -> Table | None:
    """How much better the network's first explanation does than each other one, on the pairs of both; None without others."""
    first, *others = entries
    if not others:
        return None
    rows: list[tuple[str, ...]] = []
    groups: list[bool] = []
    signs: dict[tuple[int, int], int] = {}
    for protocol in _protocols(item.faithfulness for item in entries.values()):
        ours = _rows(entries[first].faithfulness, protocol)
        for number, other in enumerate(others):
            theirs = _rows(entries[other].faithfulness, protocol)
            pairs = [pair for pair in ours if pair in theirs]
            if not pairs:
                continue
            sample = resampled([(ours[pair]["identity"],) * 2 for pair in pairs])
            cells = []
            for place, column in enumerate(AREAS, start=2):
                turned = -1 if column in LESS_IS_BETTER else 1
                gain = sample.estimate([turned * (ours[pair][column] - theirs[pair][column]) for pair in pairs])
                signs[len(rows), place] = sign_of({"low": gain.low, "high": gain.high})
                cells.append(_shown(gain, "+", percent=False))
            rows.append((protocol, f"{first} against {other}", *cells))
            groups.append(number == 0)
    names = (name.rstrip(" ↑↓") for name in AREAS.values())
    return Table(("protocol", "better by", *names), tuple(rows), tuple(groups), 2, **marked(signs))


def errors_table(entries: Entries) -> Table | None:
    """FPR and FNR as the pairs are, and how they change with SHOWN_SHARE blurred; None where no network has a threshold."""
    rows, groups = [], []
    for protocol in _protocols(item.blurring for item in entries.values()):
        for number, (name, item) in enumerate(entries.items()):
            cells = []
            for genuine in RATES:
                found = _errors(item, protocol, genuine)
                if found is None:
                    cells += [NO_FIGURE] * 2
                    continue
                shares, wrong, sample = found
                before, after = wrong[:, 0], wrong[:, shares.index(SHOWN_SHARE)]
                cells += [_mean(sample, before, percent=True), _mean(sample, after - before, "+", percent=True)]
            rows.append((protocol, name, *cells))
            groups.append(number == 0)
    if not rows:
        return None
    columns = [column for rate in RATES.values() for column in (rate, f"with {100 * SHOWN_SHARE:g} % blurred")]
    return Table(("protocol", "explanation", *columns), tuple(rows), tuple(groups))


def error_bands(entries: Entries, protocol: str) -> dict[str, dict[str, Band]]:
    """For figures.errors_figure: what is blurred -> explanation -> shares, rates and the ends of their intervals."""
    panels: dict[str, dict[str, Band]] = {}
    titles = {False: "FPR, the most salient share blurred", True: "FNR, the least salient share blurred"}
    for genuine, title in titles.items():
        for name, item in entries.items():
            found = _errors(item, protocol, genuine)
            if found is not None:
                shares, wrong, sample = found
                ends = [sample.estimate(wrong[:, column]) for column in range(len(shares))]
                lows = [end.value if end.low is None else end.low for end in ends]
                highs = [end.value if end.high is None else end.high for end in ends]
                rates = [end.value for end in ends]
                panels.setdefault(title, {})[name] = (
                    np.array(shares), np.array(rates), np.array(lows), np.array(highs)
                )  # fmt: skip
    return panels


def cost_table(entries: Entries, kinds: Mapping[str, str]) -> Table:
    """Seconds and passes of a pair, and whether the maps follow what the network learned."""
    columns = ("method, ms", "with embedding, ms", "forward", "backward", "map of a shuffled network")
    rows = []
    for name, item in entries.items():
        latency = item.latency.to_pylist()
        method, embedding = (np.array([row[key] for row in latency]) for key in ("method_s", "embedding_s"))
        times = [f"{1000 * float(np.median(values)):,.1f}" for values in (method, method + embedding)]
        passes = [f"{np.median([row[key] for row in latency]):,.0f}" for key in ("num_forward", "num_backward")]
        rows.append((name, kinds[name], *times, *passes, _sanity(item)))
    return Table(("explanation", "method", *columns), tuple(rows), (False,) * len(rows))


def agreement_table(entries: Entries) -> Table | None:
    """The mean rank correlation of each two explanations' maps of a pair; None where there are no two."""
    if len(entries) < 2:
        return None
    maps = {name: _maps(item) for name, item in entries.items()}
    rows = []
    for name in maps:
        cells = []
        for other in maps:
            both = [pair for pair in maps[name] if pair in maps[other]]
            found = [map_correlation(maps[name][pair], maps[other][pair]) for pair in both] if name != other else []
            known = [value for value in found if value is not None]
            cells.append(f"{np.mean(known):+.2f}" if known else NO_FIGURE)
        rows.append((name, *cells))
    return Table(("", *maps), tuple(rows), (False,) * len(rows), num_words=1)


def _maps(item: Explained) -> dict[tuple[str, str, str], np.ndarray[Any, Any]]:
    keys = zip(*(item.maps[column].to_pylist() for column in ("protocol", "image_a", "image_b")), strict=True)
    sides = [np.stack(item.maps[column].to_numpy()) for column in ("map_a", "map_b")]
    both = np.stack(sides, axis=1)
    side_px = round(both.shape[2] ** 0.5)
    return dict(zip(keys, both.reshape(len(both), 2, side_px, side_px), strict=True))


def _sanity(item: Explained) -> str:
    last = [row["correlations"][-1] for row in item.sanity.to_pylist() if row["correlations"][-1] is not None]
    if not last:
        return NO_FIGURE
    values = ", ".join(f"{value:+.2f}" for value in last)
    return f"{values}: unchanged" if item.metrics["sanity_unchanged"] else values


def _protocols(tables: Iterable[pa.Table]) -> list[str]:
    return list(dict.fromkeys(name for table in tables for name in table["protocol"].to_pylist()))


def _rows(table: pa.Table, protocol: str) -> Rows:
    return {(row["image_a"], row["image_b"]): row for row in table.to_pylist() if row["protocol"] == protocol}


def _errors(
    item: Explained, protocol: str, genuine: bool
) -> tuple[list[float], np.ndarray[Any, Any], IdentityBootstrap] | None:
    """The shares, which of the pairs are decided wrongly at each (N, shares) as 0 or 1, and the pairs' resamples."""
    rows = [row for row in _rows(item.blurring, protocol).values() if row["genuine"] == genuine]
    if not rows:
        return None
    thresholds = np.array([[row["threshold"]] for row in rows])
    wrong = errors([row["scores"] for row in rows], thresholds, genuine).astype(np.float64)
    return rows[0]["shares"], wrong, resampled([(row["identity_a"], row["identity_b"]) for row in rows])


def _mean(sample: IdentityBootstrap, values: Any, sign: str = "", percent: bool = False) -> str:
    return _shown(sample.estimate(values), sign, percent)


def _shown(estimate: Estimate, sign: str, percent: bool) -> str:
    """0.512 [0.430, 0.573], or in per cent."""
    scale, digits = (100.0, 1) if percent else (1.0, 3)

    def text(value: float) -> str:
        shown = f"{scale * value:{sign}.{digits}f}"
        return f"{0:.{digits}f}" if float(shown) == 0 else shown.replace("-", "−")

    if estimate.low is None or estimate.high is None:
        return text(estimate.value)
    return f"{text(estimate.value)} [{text(estimate.low)}, {text(estimate.high)}]"
