"""Pictures of the patch benchmark, for people: how a pair was patched, and how a method gives it back. No name is in them."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.why.explanation.shared.pictures import DRAWING, SHOWN_SHARE, heatmap_overlay
from pipeline_lib.why.faithfulness.patched_pairs import Image, PatchedPair

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG = "#0072b2", "#d55e00"  # Okabe and Ito's; a wrong decision's frame is dashed, too


@dataclass(frozen=True)
class Step:
    """Image A when `percent` of its pixels were up for return: uint8 (112, 112, 3), the pair's score, and the decision."""

    percent: int
    image: Image
    score: float
    match: bool


def patches_picture(pair: PatchedPair, source: Image, clean_score: float, genuine: bool, threshold: float) -> bytes:
    """A, where its squares are from, A with them, and B, as a PNG (the paper's Fig. 3).

    Args:
        source: uint8 (112, 112, 3); a genuine pair's stranger. An impostor pair's squares are from B, which is shown once.
    """
    panels = [("A as it was", pair.original), *([("squares from a stranger", source)] if genuine else [])]
    panels += [("A with squares" if genuine else "A with squares of B", pair.images[0]), ("B", pair.images[1])]
    with DRAWING:
        figure, axes = _panels(len(panels))
        for axis, (title, image) in zip(axes, panels, strict=True):
            axis.imshow(image, interpolation="bilinear")
            axis.set_title(title, fontsize=10)
        kind = "One person" if genuine else "Two people"
        decided = f"cosine {clean_score:.3f} as they were, threshold {threshold:.3f}"
        figure.suptitle(f"{kind}   ·   {decided}", fontsize=11, fontweight="bold")
        return _png(figure)


def replacement_picture(saliency: npt.NDArray[Any], steps: Sequence[Step], genuine: bool, threshold: float) -> bytes:
    """The map of patched A, and A at some steps of its replacement, as a PNG (the paper's Fig. 6 and 7).

    Args:
        saliency: (112, 112), signed, of the patched image, which is the first step's.
    """
    limit = float(np.quantile(np.abs(saliency), SHOWN_SHARE)) or float(np.abs(saliency).max()) or 1.0
    with DRAWING:
        figure, axes = _panels(1 + len(steps))
        axes[0].imshow(heatmap_overlay(steps[0].image, saliency, limit), interpolation="bilinear")
        axes[0].set_title("map of A\norange: like B, purple: unlike", fontsize=8.5)
        for axis, step in zip(axes[1:], steps, strict=True):
            axis.imshow(step.image, interpolation="bilinear")
            decided = "match" if step.match else "no match"
            right = step.match == genuine
            axis.set_title(
                f"{step.percent} % of the pixels\n{step.score:.3f}, {decided}: {'right' if right else 'wrong'}",
                fontsize=9,
            )
            _frame(axis, right)
        kind = "One person" if genuine else "Two people"
        figure.suptitle(f"{kind}   ·   threshold {threshold:.3f}", fontsize=11, fontweight="bold")
        return _png(figure)


def _panels(number: int) -> "tuple[Figure, list[Axes]]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.92 * number, 2.75), dpi=90, facecolor="white", layout="constrained")
    axes = figure.subplots(1, number, squeeze=False)[0]
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)
    return figure, list(axes)


def _frame(axis: "Axes", right: bool) -> None:
    for spine in axis.spines.values():
        spine.set_visible(True)
        spine.set_color(RIGHT if right else WRONG)
        spine.set_linewidth(2.5)
        spine.set_linestyle("-" if right else "--")


def _png(figure: "Figure") -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
