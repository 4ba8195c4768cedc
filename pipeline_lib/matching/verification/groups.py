"""Errors by group of people or photographs, at one threshold for all (as RFW has them, Wang et al., ICCV 2019)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.roc import Bools, Doubles, Roc, roc_curve
from pipeline_lib.core.texts import MISSING, Texts
from pipeline_lib.matching.scores.shared.pairs import PairSet, faces_of, protocol_rows
from pipeline_lib.matching.scores.shared.table import headline
from pipeline_lib.matching.verification.attributes import (
    ACROSS_CODE,
    OF_PAIRS,
    UNKNOWN_CODE,
    Membership,
    of_faces,
    of_pairs,
)
from pipeline_lib.matching.verification.calibration import Calibration

ACROSS, UNKNOWN = "(across groups)", "(not known)"
# A rate is told where so many errors are to be expected (Doddington's rule of 30: within a third of it, nine times of ten) and
# so many people are behind them, as a calibration wants.
MIN_ERRORS, MIN_PEOPLE = 30, 20
RATES = ("accuracy", "fmr", "fnmr")


Row = dict[str, Any]


def group_columns(rates: Sequence[float]) -> list[str]:
    """The columns of group_rows, for these false accept rates."""
    counts = ("num_genuine", "num_impostor", "num_people")
    tars = (f"tar@{rate:g}" for rate in rates)
    return ["protocol", "score", "attribute", "group", *counts, *RATES, *tars, "told", "note"]


def group_rows(
    table: pa.Table,
    pairs: PairSet,
    attributes: Mapping[str, Mapping[str, str]],
    calibrations: Mapping[str, Calibration],
    rates: Sequence[float],
) -> list[Row]:
    """A row of group_columns for each protocol, score, attribute and group of whole faces' scores.

    A pair belongs to a group if both faces do; a pair of two groups counts in ACROSS alone, one with a face of which nothing is
    known in UNKNOWN. Where no pair of a protocol has a group, it has no rows.

    - accuracy, fmr, fnmr: at the calibration's threshold, the same for all; None without a calibration, and where there are no
      pairs that they are of (`note` says so).
    - tar@<rate>: of the group's genuine pairs, at the threshold where all impostor pairs of the protocol have that FAR; None
      where these do not resolve it.
    - told: which of fmr and fnmr the group is large enough for: at the rate of the whole protocol MIN_ERRORS errors were to be
      expected of its pairs, and they show MIN_PEOPLE people.

    Args:
        table: scores of pairs.table.
        attributes: name -> image id -> value (read_attributes); OF_PAIRS -> nothing, for the pairs have it.
        calibrations: by score.
        rates: false accept rates.
    """
    people = _people(pairs, table)
    rows = []
    for name, values in attributes.items():
        groups = of_pairs(table) if name == OF_PAIRS else of_faces(pairs, table, values)
        for protocol, places in protocol_rows(table):
            if (groups.codes[places] == UNKNOWN_CODE).all():
                continue
            part, own = table.take(places), Membership(groups.names, groups.codes[places])
            for score in headline(table):
                found = _rows(part, score, own, people[places], calibrations.get(score), rates)
                rows += [{"protocol": protocol, "score": score, "attribute": name, **row} for row in found]
    return rows


def spreads(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, float]]:
    """(protocol, score) -> how far apart the groups are that are told, for metrics.json.

    accuracy_spread_by_<attribute> (of groups with both rates told), fmr_spread_by_, fnmr_spread_by_: the largest less the
    smallest; fmr_ratio_by_: the largest over the smallest, which is absent where that is 0. Of fewer than two groups: nothing.
    """
    found: dict[tuple[str, str], dict[str, float]] = {}
    by_attribute: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        if row["group"] not in (ACROSS, UNKNOWN):
            by_attribute.setdefault((row["protocol"], row["score"], row["attribute"]), []).append(row)
    for (protocol, score, attribute), of_groups in by_attribute.items():
        for rate in RATES:
            wanted = {"fmr", "fnmr"} if rate == "accuracy" else {rate}
            told = [float(row[rate]) for row in of_groups if wanted <= set(row["told"].split())]
            if len(told) < 2:
                continue
            figures = found.setdefault((protocol, score), {})
            figures[f"{rate}_spread_by_{attribute}"] = max(told) - min(told)
            if rate == "fmr" and min(told) > 0:
                figures[f"fmr_ratio_by_{attribute}"] = max(told) / min(told)
    return found


def _rows(
    part: pa.Table,
    score: str,
    groups: Membership,
    people: npt.NDArray[np.int64],
    calibration: Calibration | None,
    rates: Sequence[float],
) -> Iterator[Row]:
    values, genuine = part[score].to_numpy().astype(np.float64), part["genuine"].to_numpy(zero_copy_only=False)
    accepted = None if calibration is None else calibration.matches(values)
    overall, thresholds = _rates(accepted, genuine), _thresholds(roc_curve(values, genuine), rates)
    for code, label in {**dict(enumerate(groups.names)), ACROSS_CODE: ACROSS, UNKNOWN_CODE: UNKNOWN}.items():
        chosen = groups.codes == code
        if not chosen.any():
            continue
        own, num_people = genuine[chosen], len(np.unique(people[chosen]))
        num = {"fmr": int((~own).sum()), "fnmr": int(own.sum())}
        is_told = code != UNKNOWN_CODE and num_people >= MIN_PEOPLE
        told = [rate for rate in num if is_told and (overall[rate] or 0.0) * num[rate] >= MIN_ERRORS]
        note = "" if own.any() and not own.all() else f"{'genuine' if own.all() else 'impostor'} pairs only"
        yield {
            "group": label,
            "num_genuine": num["fnmr"],
            "num_impostor": num["fmr"],
            "num_people": num_people,
            **_rates(None if accepted is None else accepted[chosen], own),
            **{name: _tar(values[chosen][own], threshold) for name, threshold in thresholds.items()},
            "told": " ".join(told),
            "note": note,
        }


def _thresholds(roc: Roc, rates: Sequence[float]) -> dict[str, float | None]:
    """By tar@<rate>: the lowest threshold with that FAR; None where the impostors do not resolve it (roc.tar_at_far)."""
    slack = 1 + 1e-9
    return {
        f"tar@{rate:g}": float(roc.thresholds[roc.far <= rate * slack][-1])
        if rate * roc.num_impostor * slack >= 1
        else None
        for rate in rates
    }


def _tar(genuine: Doubles, threshold: float | None) -> float | None:
    return float(np.mean(genuine >= threshold)) if threshold is not None and len(genuine) else None


def _rates(accepted: Bools | None, genuine: Bools) -> dict[str, float | None]:
    """RATES of some pairs; None where there is no threshold, or no pair that the rate is of."""
    if accepted is None:
        return dict.fromkeys(RATES)
    return {
        "accuracy": float(np.mean(accepted == genuine)) if genuine.any() and not genuine.all() else None,
        "fmr": float(np.mean(accepted[~genuine])) if not genuine.all() else None,
        "fnmr": float(np.mean(~accepted[genuine])) if genuine.any() else None,
    }


def _people(pairs: PairSet, table: pa.Table) -> npt.NDArray[np.int64]:
    """(N, 2), a number for each pair's two people."""
    faces = faces_of(table)
    numbers = pairs.owners(faces).numbered()[0]
    rows = [faces.rows(Texts(table[side])) for side in ("image_a", "image_b")]
    assert all((side != MISSING).all() for side in rows)
    return np.stack([numbers[side] for side in rows], axis=1)
