"""Pictures of an explained pair, for people: both faces, where the score comes from, and how it adds up.

Orange supports the match and purple speaks against it (PuOr, told apart under all common colour-vision deficiencies),
on one scale for both faces, symmetric around 0. No name and no path ever goes into a picture.
"""

import io
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation.shared.explanation import Explanation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

SUPPORTS, OPPOSES = "#c8690b", "#5e3c99"
MAX_OPACITY = 0.75
NUM_PATCH_PAIRS = 4
MIN_SHOWN_PX = 28  # of a patch's picture: a smaller patch (a BagNet's cell has 8 px) is outlined in its surroundings
FACES_INCHES, TERMS_INCHES = 2.75, 2.65  # heights of the picture's two parts
DRAWING = threading.Lock()  # matplotlib is not thread-safe; a served model draws for several clients at once

Image = npt.NDArray[np.uint8]
Map = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Unit:
    """What a map's values are in, and how many of it 1.0 is."""

    name: str
    scale: float


OF_THE_COSINE, SOME_UNIT = Unit("10⁻⁴ of the cosine per pixel", 1e4), Unit("the method's own unit", 1.0)
# Of the values of a method that splits nothing: the share that gets no more than full colour. Gradients have a few peaks, beside
# which nothing else would be seen.
SHOWN_SHARE = 0.99


def heatmap_overlay(image: Image, saliency: Map, limit: float) -> Image:
    """Lay a signed map over a face: colour for the sign, opacity for the strength, the face in grey below.

    pixel = (1 - o) grey + o colour(s / limit),  o = 0.75 sqrt(min(1, |s| / limit)).

    Args:
        image: (H, W, 3) uint8 RGB.
        saliency: (H, W) signed values.
        limit: the |value| that gets full colour, > 0; one limit for both faces of a pair makes them comparable.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: the shapes differ, or the map or the limit is not finite or the limit not positive.
    """
    if image.shape != (*saliency.shape, 3):
        raise DataError("A map has not its image's size.", got=f"image {image.shape}, map {saliency.shape}")
    if not (np.isfinite(saliency).all() and np.isfinite(limit) and limit > 0):
        raise DataError("A map or its limit cannot be drawn.", got=f"limit {limit}", allowed="finite values, limit > 0")
    share = np.clip(saliency / limit, -1.0, 1.0)
    colour = _colour_map()(0.5 + 0.5 * share)[..., :3]
    grey = (image @ np.array([0.299, 0.587, 0.114]) / 255.0)[..., None]
    opacity = MAX_OPACITY * np.sqrt(np.abs(share))[..., None]
    blended: Image = np.rint(255.0 * ((1.0 - opacity) * grey + opacity * colour)).astype(np.uint8)
    return blended


@dataclass(frozen=True)
class Decision:
    """What a calibration makes of a score: two faces count as one person above the `threshold`, and if these do."""

    threshold: float
    match: bool


def pair_picture(
    images: Image, explanation: Explanation, *, decision: Decision | None = None, caption: str = ""
) -> bytes:
    """Draw one explained pair as a PNG: faces and maps and, where there are terms, how they add up and the strongest.

    Args:
        images: (2, 112, 112, 3) uint8 RGB, aligned: A and B.
        explanation: of the two.
        decision: about the pair; drawn if given.
        caption: a line above the picture, for example "genuine pair".

    Returns:
        PNG bytes; the same input gives the same bytes under the same matplotlib.
    """
    with DRAWING:
        return _drawn(images, explanation, decision, caption)


def _drawn(images: Image, explanation: Explanation, decision: Decision | None, caption: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = FACES_INCHES if explanation.terms is None else FACES_INCHES + TERMS_INCHES
    figure = Figure(figsize=(9.6, height), dpi=110, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(_headline(explanation.score, decision, caption), fontsize=13, fontweight="bold")
    if explanation.terms is None:
        limit = float(np.quantile(np.abs(explanation.maps), SHOWN_SHARE)) or float(np.abs(explanation.maps).max())
        _draw_faces(figure, images, explanation.maps, limit, SOME_UNIT)
    else:
        halves: Any = figure.subfigures(2, 1, height_ratios=[FACES_INCHES, TERMS_INCHES])
        upper, lower = halves
        _draw_faces(upper, images, explanation.maps, float(np.abs(explanation.maps).max()), OF_THE_COSINE)
        sums, patches = lower.subfigures(1, 2, width_ratios=[1.5, 1.0])
        _draw_sum(sums.subplots(), explanation.terms.sum(axis=1), decision)
        _draw_patch_pairs(patches, images, explanation)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _colour_map() -> "Colormap":
    """PuOr without its dark ends, below which no face would be seen."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["PuOr_r"](np.linspace(0.12, 0.88, 255)))


def _headline(score: float, decision: Decision | None, caption: str) -> str:
    parts = [caption] if caption else []
    parts.append(f"cosine similarity {score:.3f}")
    if decision is not None:
        parts.append(f"threshold {decision.threshold:.3f}: {'match' if decision.match else 'no match'}")
    return "   ·   ".join(parts)


def _draw_faces(figure: Any, images: Image, maps: Map, limit: float, unit: Unit) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    # A map of zeros has no scale of its own; any positive one draws it as the bare grey face.
    limit = limit or 1.0
    carries = "what carries the score" if unit is OF_THE_COSINE else "what the score reacts to"
    axes = figure.subplots(1, 4)
    shown = [
        ("face A", images[0]),
        (f"A: {carries}", heatmap_overlay(images[0], maps[0], limit)),
        (f"B: {carries}", heatmap_overlay(images[1], maps[1], limit)),
        ("face B", images[1]),
    ]
    for axis, (title, image) in zip(axes, shown, strict=True):
        axis.imshow(image, interpolation="bilinear")
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    scale = ScalarMappable(Normalize(-limit * unit.scale, limit * unit.scale), _colour_map())
    ends = "both" if np.abs(maps).max() > limit else "neither"
    bar = figure.colorbar(scale, ax=axes, fraction=0.025, pad=0.02, extend=ends)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(f"against  ·  for a match\n({unit.name})", fontsize=8)


def _draw_sum(axis: "Axes", contributions: npt.NDArray[np.float64], decision: Decision | None) -> None:
    """A waterfall: each patch of A, from the strongest support on, starts where the one before it ended."""
    ordered = np.sort(contributions)[::-1]
    ends = np.cumsum(ordered)
    colours = [SUPPORTS if value >= 0 else OPPOSES for value in ordered]
    axis.bar(np.arange(len(ordered)), ordered, bottom=ends - ordered, color=colours, width=0.86)
    axis.axhline(0.0, color="black", linewidth=0.8)
    axis.axhline(ends[-1], color="black", linewidth=1.2, label=f"sum = cosine {ends[-1]:.3f}")
    lowest, highest = min(0.0, float(ends.min())), max(0.0, float(ends.max()))
    if decision is not None:
        threshold = decision.threshold
        axis.axhline(threshold, color="0.4", linewidth=1.2, linestyle="--", label=f"threshold {threshold:.3f}")
        lowest, highest = min(lowest, threshold), max(highest, threshold)
    span = highest - lowest or 1.0
    axis.set_ylim(lowest - 0.05 * span, highest + 0.28 * span)  # room above for the legend, so that it covers no bar
    axis.set_title(f"The {len(ordered)} patches of A add up to the score", fontsize=10)
    axis.set_xlabel("patches, strongest support first", fontsize=9)
    axis.set_ylabel("running sum", fontsize=9)
    axis.set_xticks([])
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper left", ncols=2)


def _draw_patch_pairs(figure: Any, images: Image, explanation: Explanation) -> None:
    """The pairs of patches (A above B) with the largest terms, and last the one that speaks most against a match."""
    terms, boxes = explanation.terms, explanation.boxes
    assert terms is not None, "only called for these"
    assert boxes is not None, "which come with terms"
    order = np.argsort(-terms, axis=None, kind="stable")
    num_shown = min(NUM_PATCH_PAIRS, order.size)
    chosen = [*order[: num_shown - 1], order[-1]]
    axes = figure.subplots(2, num_shown, squeeze=False)
    figure.suptitle("Pairs of patches: the strongest, and the weakest", fontsize=10)
    for column, flat in enumerate(chosen):
        pair = np.unravel_index(flat, terms.shape)
        value = float(terms[pair])
        for axis, image, index in zip(axes[:, column], images, pair, strict=True):
            _draw_patch(axis, image, boxes[index].tolist(), SUPPORTS if value >= 0 else OPPOSES)
        axes[0, column].set_title(f"{value:+.2g}", fontsize=9)
    axes[0, 0].set_ylabel("A", fontsize=10, rotation=0, labelpad=10, va="center")
    axes[1, 0].set_ylabel("B", fontsize=10, rotation=0, labelpad=10, va="center")


def _draw_patch(axis: "Axes", image: Image, box: list[int], colour: str) -> None:
    from matplotlib.patches import Rectangle

    x, y, w, h = box
    left, right = _shown(x, w, image.shape[1])
    top, bottom = _shown(y, h, image.shape[0])
    axis.imshow(image[top:bottom, left:right], interpolation="bilinear")
    if (right - left, bottom - top) != (w, h):
        # Pixel centres lie on whole numbers.
        corner = (x - left - 0.5, y - top - 0.5)
        axis.add_patch(Rectangle(corner, w, h, fill=False, edgecolor=colour, linewidth=1.5))
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_color(colour)
        spine.set_linewidth(2.0)


def _shown(start: int, size: int, limit: int) -> tuple[int, int]:
    """At least MIN_SHOWN_PX around start..start+size, as far as the image reaches."""
    margin = max(0, MIN_SHOWN_PX - size) // 2
    return max(0, start - margin), min(limit, start + size + margin)
