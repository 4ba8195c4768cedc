"""What the page's charts are drawn with: panels, lines told apart without colour, bands, legends, and their SVG."""

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's, told apart under the common colour-vision deficiencies.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
DASHES = ("-", "--", "-.", ":")
MAX_LEGEND_INSIDE = 8
INK, SOFT = "#1d2329", "#5d6873"
FLOOR_STYLE: dict[str, Any] = {"color": SOFT, "linestyle": (0, (1, 1)), "linewidth": 1.6}
Doubles = npt.NDArray[np.float64]
Band = tuple[Doubles, Doubles, Doubles, Doubles]  # x, y, and the ends of y's interval


def draw_bands(axis: Any, curves: Mapping[str, Band], floors: Collection[str], scale: float = 1.0) -> None:
    """Each curve with its interval as a band, times `scale`; the floors, that the others must beat, without one."""
    for name, style in line_styles(curves, floors).items():
        x, y, low, high = (scale * values for values in curves[name])
        axis.plot(x, y, **style, label=name)
        if name not in floors:
            axis.fill_between(x, low, high, color=style["color"], alpha=0.1, linewidth=0)


def line_styles(names: Iterable[str], floors: Collection[str]) -> dict[str, dict[str, Any]]:
    """How to draw each line: the floors as raw pixels are, and last."""
    listed = list(names)
    named = [name for name in listed if name not in floors]
    styles = {name: {**line_style(number), "linewidth": 1.6} for number, name in enumerate(named)}
    return styles | {name: FLOOR_STYLE for name in listed if name in floors}


def one_scale(axes: "Sequence[Axes]") -> None:
    """The same y axis for panels that stand side by side."""
    ends = [axis.get_ylim() for axis in axes]
    for axis in axes:
        axis.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))


def line_style(number: int) -> dict[str, Any]:
    """Colour and dashes of the number-th line: 24 differ, and no two of the same colour are dashed alike."""
    turn, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "linestyle": DASHES[(number + turn) % len(DASHES)]}


def size_with_legend(width: float, height: float, num_lines: int) -> tuple[float, float]:
    """Inches of a chart of this size whose legend stands beside it where it is long, and may then be the higher of the two."""
    if num_lines <= MAX_LEGEND_INSIDE:
        return width, height
    return width + 2.6, max(height, 0.18 * num_lines + 0.4)


def add_legend(axis: "Axes", num_lines: int, inside: str) -> None:
    """Within the axes at `inside`, or beside them where many lines would hide what they name."""
    if num_lines > MAX_LEGEND_INSIDE:
        axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    else:
        axis.legend(fontsize=8, frameon=False, loc=inside)


def one_panel(width: float, height: float) -> "tuple[Figure, Axes]":
    """A figure of one panel; see several_panels."""
    figure, axes = several_panels(1, width, height)
    return figure, axes[0]


def several_panels(number: int, width: float, height: float) -> "tuple[Figure, Sequence[Axes]]":
    """`number` panels side by side, `width` x `height` inches each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(number * width, height), layout="constrained")
    axes = figure.subplots(1, number, squeeze=False)[0]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=9, colors=SOFT, labelcolor=INK)
    return figure, list(axes)


def as_svg(figure: "Figure") -> bytes:
    """The figure's SVG; the same input gives the same bytes (fixed ids, no date)."""
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "report"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
