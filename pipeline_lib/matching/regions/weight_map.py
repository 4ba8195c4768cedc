"""How much each region of the face counts: the weights spread over a drawn face, and each with its error bar."""

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.matching.regions.face_outline import OUTLINE_BOTTOM, OUTLINE_TOP, draw_face
from pipeline_lib.matching.regions.fits import RegionFit, reading_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

Doubles = npt.NDArray[np.float64]
FOR, AGAINST = "#c8690b", "#5e3c99"  # of a match, as in all pictures of this report
INK, SOFT, LINE = "#1d2329", "#5d6873", "#dfe4e8"
DPI = 130
# Inches: the faces are of one size, whatever the number of weights beside them.
WIDTH, FACE, LEFT, WEIGHTS_LEFT, WEIGHTS_RIGHT = 8.6, 3.7, 0.2, 4.95, 8.4
TITLE, BAR, LABELS, ROW, GAP = 0.45, 0.1, 0.62, 0.17, 0.25


def weight_map(weights: Mapping[str, float]) -> Doubles:
    """The weights per pixel of the aligned face, float64 (112, 112).

        map[y, x] = Σ_i w_i/(2 s_i²)·([(x, y) in R_i] + [(x, y) in R̄_i])

    R_i is region i, a square of side s_i px, and R̄_i its mirror image, with which it shares w_i; overlaps add. A region
    that is its own mirror image has all of w_i. The map sums to Σ_i w_i.

    Args:
        weights: position name -> w_i.

    Raises:
        DataError: there are no weights, or one is NaN or infinite.
        ParamsError: a name is no position.
    """
    if not weights or not np.isfinite(list(weights.values())).all():
        raise DataError("Region weights cannot be drawn.", got=dict(weights), allowed="at least one, all finite")
    spread = np.zeros((FACE_PX, FACE_PX))
    for name, weight in weights.items():
        region = parse_region(name)
        for part in (region, region.mirror):
            inside = np.s_[part.y : part.y + part.size_px, part.x : part.x + part.size_px]
            spread[inside] += weight / (2 * part.size_px**2)
    return spread


def draw_weight_maps(fits: Mapping[str, RegionFit]) -> bytes:
    """One row a combination, as a PNG: its map on the face, its weights with standard errors and 95 % intervals.

    A filled mark: the interval leaves 0 out. Equal input gives equal bytes under one matplotlib.

    Args:
        fits: combination -> fit, from the narrowest on.

    Raises:
        DataError: see weight_map.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bodies = [max(FACE + BAR, ROW * len(fit.weights.positions)) for fit in fits.values()]
    height = sum(bodies) + len(bodies) * (TITLE + LABELS + GAP)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)

    def axes(left: float, right: float, top: float, bottom: float) -> "Axes":
        return figure.add_axes((left / WIDTH, 1 - bottom / height, (right - left) / WIDTH, (bottom - top) / height))

    top = 0.0
    for (name, fit), body in zip(fits.items(), bodies, strict=True):
        title = top + TITLE / 2
        figure.text(LEFT / WIDTH, 1 - title / height, _title(name, fit), fontsize=11, fontweight="bold", color=INK)
        top += TITLE
        face = axes(LEFT, LEFT + FACE, top, top + FACE)
        bar = axes(LEFT + 0.3, LEFT + FACE - 0.3, top + FACE, top + FACE + BAR)
        _draw_map(figure, face, bar, fit)
        _draw_weights(axes(WEIGHTS_LEFT, WEIGHTS_RIGHT, top, top + body), fit)
        top += body + LABELS + GAP
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _title(name: str, fit: RegionFit) -> str:
    sizes = sorted({parse_region(position).size_px for position in fit.weights.positions})
    return f"{' and '.join(f'{size} × {size}' for size in sizes)} px: score {name}"


def _draw_map(figure: "Figure", axis: "Axes", bar_axis: "Axes", fit: RegionFit) -> None:
    spread = weight_map(dict(zip(fit.weights.positions, fit.weights.weights.tolist(), strict=True))) * 1e3
    limit = float(np.abs(spread).max()) or 1.0  # weights of zero have no scale of their own; any draws them white
    extent = (0, FACE_PX, FACE_PX, 0)
    image = axis.imshow(spread, cmap=_colour_map(), vmin=-limit, vmax=limit, extent=extent, interpolation="nearest")
    axis.plot([0, 0, FACE_PX, FACE_PX, 0], [0, FACE_PX, FACE_PX, 0, 0], color=SOFT, linewidth=0.8)
    draw_face(axis, INK)
    axis.set(xlim=(-2, FACE_PX + 2), ylim=(OUTLINE_BOTTOM + 2, min(0.0, OUTLINE_TOP) - 2))
    axis.set_axis_off()
    bar = figure.colorbar(image, cax=bar_axis, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=8, colors=SOFT, labelcolor=INK)
    bar.set_label("against  ·  weight per pixel (10⁻³)  ·  for a match", fontsize=8, color=INK)


def _draw_weights(axis: "Axes", fit: RegionFit) -> None:
    place = {name: row for row, name in enumerate(fit.weights.positions)}
    regions = reading_order(place)
    order = [place[region.name] for region in regions]
    weights, errors = fit.weights.weights[order], fit.uncertainty.standard_errors[order]
    low, high = fit.uncertainty.intervals[order].T
    rows = np.arange(len(order))
    for row, weight, error, left, right in zip(rows, weights, errors, low, high, strict=True):
        colour = FOR if weight >= 0 else AGAINST
        axis.plot([left, right], [row, row], color=colour, linewidth=1.0)
        axis.plot([weight - error, weight + error], [row, row], color=colour, linewidth=3.2, solid_capstyle="butt")
        sure = left > 0 or right < 0
        axis.plot(weight, row, "o", markersize=4.2, markeredgecolor=colour, markerfacecolor=colour if sure else "white")
    axis.axvline(0.0, color=INK, linewidth=0.8)
    for row in np.flatnonzero(np.diff([region.size_px for region in regions])):
        axis.axhline(row + 0.5, color=SOFT, linewidth=0.6)
    axis.set_yticks(rows, [f"{region.size_px} px ({region.x}, {region.y})" for region in regions])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="x", color=LINE, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", labelsize=7.5, length=0, labelcolor=INK)
    axis.tick_params(axis="x", labelsize=8, colors=SOFT, labelcolor=INK)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.spines["bottom"].set_color(SOFT)
    axis.set_xlabel(
        f"weight ± standard error, 95 % interval\n({fit.uncertainty.num_samples} resamples of the identities)",
        fontsize=8,
        color=INK,
    )


def _colour_map() -> "ListedColormap":
    """PuOr without its dark ends, on which the drawn face would not be seen."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["PuOr_r"](np.linspace(0.12, 0.88, 255)))
