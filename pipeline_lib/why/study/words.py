"""The figures of a study as text."""

from collections.abc import Sequence
from typing import Any

HEAD = (
    "method",
    "answers",
    "accuracy (95 %)",
    "participants",
    "genuine accepted",
    "impostors rejected",
    "as the network",
)


def as_text(scores: dict[str, Any]) -> str:
    """Two tables, of methods and of their differences, for a terminal."""
    lines = [
        f"Study {scores['study']}: {scores['num_participants']} participants. Intervals: {scores['intervals']}.",
        f"One answer to every pair would be right for {_percent(scores['chance'])}.",
        "",
        *_aligned([HEAD, *(_row(name, figures) for name, figures in scores["methods"].items())]),
        "",
        *_aligned(
            [("accuracy when the model is", "right", "wrong", "bare", "mask", "sunglasses")]
            + [_split(name, figures) for name, figures in scores["methods"].items()]
        ),
        "",
    ]
    lines += [
        f"{found['first']} less {found['second']}: {100 * found['difference']:+.1f} points "
        f"({100 * found['interval'][0]:+.1f} to {100 * found['interval'][1]:+.1f})"
        for found in scores["differences"]
    ]
    return "\n".join(lines)


def _row(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    unanswered = f" (+ {figures['num_unanswered']} left out)" if figures["num_unanswered"] else ""
    low, high = figures["interval"]
    genuine, impostor = figures["genuine"], figures["impostor"]
    return (
        name,
        f"{figures['num_answers']}{unanswered}",
        f"{_percent(figures['accuracy'])} ({100 * low:.1f} to {100 * high:.1f})",
        f"{100 * figures['participants_mean']:.1f} ± {100 * figures['participants_std']:.1f} %",
        f"{genuine['accepted']} of {sum(genuine.values())}",
        f"{impostor['rejected']} of {sum(impostor.values())}",
        _percent(figures["agrees_with_network"]),
    )


def _split(name: str, figures: dict[str, Any]) -> tuple[str, ...]:
    shares = [*figures["by_model"].values(), *figures["by_occlusion"].values()]
    return (name, *(_percent(share["accuracy"]) for share in shares))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
