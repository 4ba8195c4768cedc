"""What stands at the top of the page: the best score in a sentence, and how many claims hold."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline_lib.core.files import read_json
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.claims.words import VERDICTS
from pipeline_lib.delivery.report.score_words import BASELINE, score_words
from pipeline_lib.delivery.report.tables import protocols_of, registered_score, shown_score
from pipeline_lib.params.scores import Score


@dataclass(frozen=True)
class Hero:
    """The score that was registered, else the best one on the validation pairs, on every other protocol.

    Attributes:
        score: in words.
        how: why this one.
        lines: protocol; accuracy, and its 95 % interval or none ("", in per cent); that of raw pixels or None.
        verdicts: how many results of the ledger have each verdict; empty where there is no ledger.
    """

    score: str
    how: str
    lines: tuple[tuple[str, tuple[str, str], str | None], ...]
    verdicts: tuple[tuple[str, int], ...]


def read_hero(data: Path, scores: Mapping[str, Score]) -> Hero | None:
    """From verify/metrics.json, register/registered.json and claims/claims.json below `data`; None where nothing was scored."""
    metrics, registered = (_read(data / name) for name in ("verify/metrics.json", "register/registered.json"))
    score = shown_score(metrics or {}, registered)
    if score is None:
        return None
    how = "the registered model's" if registered_score(registered) else "the largest AUC on the validation pairs"
    lines = tuple(
        (name, _accuracy(metrics[name][score]), _floor(metrics[name], score))
        for name in protocols_of(metrics)
        if score in metrics[name] and (name != VALIDATION or len(metrics) == 1)
    )
    claims = _read(data / "claims" / "claims.json") or {}
    counts = Counter(result["verdict"] for claim in claims.values() for result in claim["protocols"].values())
    return Hero(
        score_words(score, scores), how, lines, tuple((name, counts[name]) for name in VERDICTS if counts[name])
    )


def _accuracy(row: Mapping[str, Any]) -> tuple[str, str]:
    ends = [row[name] for name in ("accuracy_mean_low", "accuracy_mean_high") if row.get(name) is not None]
    interval = " to ".join(f"{100 * end:.1f}" for end in ends)
    return f"{100 * row['accuracy_mean']:.1f} %", interval


def _floor(rows: Mapping[str, Mapping[str, Any]], score: str) -> str | None:
    return None if score == BASELINE or BASELINE not in rows else f"{100 * rows[BASELINE]['accuracy_mean']:.1f} %"


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None
