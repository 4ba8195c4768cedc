"""Pictures of an explained pair, for people: both faces, where the score comes from, and how it adds up.

Orange supports the match and purple speaks against it (PuOr, told apart under all common colour-vision deficiencies),
on one scale for both faces, symmetric around 0. No name and no path ever goes into a picture.
"""

import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import patch_contributions

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

SUPPORTS, OPPOSES = "#c8690b", "#5e3c99"
MAX_OPACITY = 0.75
NUM_PATCH_PAIRS = 4
MAX_BARS = 36  # of patches in a running sum: an RRFNet-28's 33 have one each, a BagNet's 196 do not
MIN_SHOWN_PX = 28  # of a patch's picture: a smaller patch (a BagNet's cell has 8 px) is outlined in its surroundings
FACES_INCHES, TERMS_INCHES = 2.75, 2.95  # heights of the picture's two parts
DRAWING = threading.Lock()  # matplotlib is not thread-safe; a served model draws for several clients at once

Image = npt.NDArray[np.uint8]
Map = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Unit:
    """What a map's values are in, and how many of it 1.0 is."""

    name: str
    scale: float


OF_THE_SCORE, SOME_UNIT = Unit("10⁻⁴ of the score per pixel", 1e4), Unit("the method's own unit", 1.0)
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
    colour, opacity = _colour_and_opacity(saliency, limit)
    grey = (image @ np.array([0.299, 0.587, 0.114]) / 255.0)[..., None]
    blended: Image = np.rint(255.0 * ((1.0 - opacity) * grey + opacity * colour)).astype(np.uint8)
    return blended


def map_layer(saliency: Map, limit: float) -> bytes:
    """A signed map alone as a PNG with transparency, to lie over a grey face: together they are heatmap_overlay.

    Args:
        saliency, limit: as of heatmap_overlay, which says what is raised.
    """
    colour, opacity = _colour_and_opacity(saliency, limit)
    bgra = np.concatenate([colour[..., ::-1], opacity], axis=-1)
    done, data = cv2.imencode(".png", np.rint(255.0 * bgra).astype(np.uint8))
    assert done, "a PNG of four channels"
    png: bytes = data.tobytes()
    return png


def _colour_and_opacity(saliency: Map, limit: float) -> tuple[Map, Map]:
    """(H, W, 3) and (H, W, 1) in [0, 1]."""
    if not (np.isfinite(saliency).all() and np.isfinite(limit) and limit > 0):
        raise DataError("A map or its limit cannot be drawn.", got=f"limit {limit}", allowed="finite values, limit > 0")
    share = np.clip(saliency / limit, -1.0, 1.0)
    return _colour_map()(0.5 + 0.5 * share)[..., :3], MAX_OPACITY * np.sqrt(np.abs(share))[..., None]


def scale_of_maps(maps: Map, are_sums: bool) -> tuple[float, Unit]:
    """The |value| of a pair's maps that gets full colour, > 0, and what values are in.

    Args:
        maps: (2, H, W).
        are_sums: whether each map sums to the score.
    """
    # A map of zeros has no scale of its own; any positive one draws it as the bare grey face.
    largest = float(np.abs(maps).max()) or 1.0
    if are_sums:
        return largest, OF_THE_SCORE
    return float(np.quantile(np.abs(maps), SHOWN_SHARE)) or largest, SOME_UNIT


@dataclass(frozen=True)
class Decision:
    """What a calibration makes of a score: two faces count as one person above the `threshold`, and if these do."""

    threshold: float
    match: bool


def pair_picture(
    images: Image,
    explanation: Explanation,
    *,
    decision: Decision | None = None,
    caption: str = "",
    score_name: str = "cosine similarity",
) -> bytes:
    """Draw one explained pair as a PNG: faces and maps and, where there are terms, how they add up and the strongest.

    Args:
        images: (2, 112, 112, 3) uint8 RGB, aligned: A and B.
        explanation: of the two.
        decision: about the pair; drawn if given.
        caption: a line above the picture, for example "genuine pair".
        score_name: what the explained score is.

    Returns:
        PNG bytes; the same input gives the same bytes under the same matplotlib.
    """
    with DRAWING:
        return _drawn(images, explanation, decision, _headline(score_name, explanation.score, decision, caption))


def _drawn(images: Image, explanation: Explanation, decision: Decision | None, headline: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = FACES_INCHES if explanation.terms is None else FACES_INCHES + TERMS_INCHES
    figure = Figure(figsize=(9.6, height), dpi=110, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(headline, fontsize=13, fontweight="bold")
    if explanation.terms is None:
        _draw_faces(figure, images, explanation)
    else:
        halves: Any = figure.subfigures(2, 1, height_ratios=[FACES_INCHES, TERMS_INCHES])
        upper, lower = halves
        contributions = patch_contributions(explanation.terms)
        shown = [_shown_bars(values) for values in contributions]
        for axis, patches in zip(_draw_faces(upper, images, explanation), shown, strict=True):
            _number_patches(axis, explanation, patches)
        sums, pairs = lower.subfigures(1, 2, width_ratios=[2.6, 1.0])
        _draw_sums(sums, contributions, shown, decision)
        _draw_patch_pairs(pairs, images, explanation)
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()


def _colour_map() -> "Colormap":
    """PuOr without its dark ends, below which no face would be seen."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap

    return ListedColormap(colormaps["PuOr_r"](np.linspace(0.12, 0.88, 255)))


def _headline(score_name: str, score: float, decision: Decision | None, caption: str) -> str:
    parts = [caption] if caption else []
    parts.append(f"{score_name} {score:.3f}")
    if decision is not None:
        parts.append(f"threshold {decision.threshold:.3f}: {'match' if decision.match else 'no match'}")
    return "   ·   ".join(parts)


def _draw_faces(figure: Any, images: Image, explanation: Explanation) -> "list[Axes]":
    """Both faces and their maps, on one scale; returns the axes of the maps of A and of B."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    maps = explanation.maps
    limit, unit = scale_of_maps(maps, explanation.terms is not None)
    carries = "what carries the score" if unit is OF_THE_SCORE else "what the score reacts to"
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
    return [axes[1], axes[2]]


def _shown_bars(contributions: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """The patches that have a bar of their own, the strongest support first: all, or those of the largest |value|."""
    largest = np.argsort(-np.abs(contributions), kind="stable")[:MAX_BARS]
    ordered: npt.NDArray[np.intp] = largest[np.argsort(-contributions[largest], kind="stable")]
    return ordered


def _number_patches(axis: "Axes", explanation: Explanation, patches: npt.NDArray[np.intp]) -> None:
    """Each patch's number, by which its bar is labelled, at its centre."""
    from matplotlib.patheffects import withStroke

    assert explanation.boxes is not None, "which come with terms"
    for patch in patches.tolist():
        x, y, w, h = explanation.boxes[patch].tolist()
        text = axis.text(x + w / 2 - 0.5, y + h / 2 - 0.5, str(patch + 1), fontsize=6, ha="center", va="center")
        text.set_path_effects([withStroke(linewidth=1.5, foreground="white")])


def _draw_sums(
    figure: Any,
    contributions: Sequence[npt.NDArray[np.float64]],
    shown: Sequence[npt.NDArray[np.intp]],
    decision: Decision | None,
) -> None:
    """Two waterfalls on one scale: each patch starts where the one before it ended, and both end at the score."""
    axes = figure.subplots(1, 2, sharey=True)
    for axis, name, values, patches in zip(axes, "AB", contributions, shown, strict=True):
        heights, labels = values[patches], [str(patch + 1) for patch in patches.tolist()]
        if len(patches) < len(values):
            num_support = int((heights >= 0).sum())
            heights = np.insert(heights, num_support, values.sum() - heights.sum())
            labels.insert(num_support, f"other {len(values) - len(patches)}")
        ends = np.cumsum(heights)
        colours = [SUPPORTS if value >= 0 else OPPOSES for value in heights]
        axis.bar(np.arange(len(heights)), heights, bottom=ends - heights, color=colours, width=0.86)
        axis.axhline(0.0, color="black", linewidth=0.8)
        axis.axhline(ends[-1], color="black", linewidth=1.2, label=f"sum {ends[-1]:.3f}")
        if decision is not None:
            label = f"threshold {decision.threshold:.3f}"
            axis.axhline(decision.threshold, color="0.4", linewidth=1.2, linestyle="--", label=label)
        axis.set_title(f"The {len(values)} patches of {name}", fontsize=10)
        axis.set_xlabel("patch, as numbered above", fontsize=8)
        axis.set_xticks(
            np.arange(len(heights)),
            labels,
            rotation=90 if len(heights) > 9 else 0,
            fontsize=6 if len(heights) > 9 else 8,
        )
        axis.tick_params(axis="x", length=0, pad=1)
        axis.tick_params(axis="y", labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    lowest, highest = axes[0].get_ylim()  # of both: they share it
    axes[0].set_ylim(lowest, highest + 0.2 * (highest - lowest))  # room for the legend, so that it covers no bar
    axes[0].set_ylabel("running sum", fontsize=8)
    for axis in axes:
        axis.legend(fontsize=7, frameon=False, loc="upper left", ncols=2, columnspacing=1.0, handlelength=1.4)


def _draw_patch_pairs(figure: Any, images: Image, explanation: Explanation) -> None:
    """The pairs of patches (A above B) with the largest terms, and last the one that speaks most against a match."""
    terms, boxes = explanation.terms, explanation.boxes
    assert terms is not None, "only called for these"
    assert boxes is not None, "which come with terms"
    order = np.argsort(-terms, axis=None, kind="stable")
    num_shown = min(NUM_PATCH_PAIRS, order.size)
    chosen = [*order[: num_shown - 1], order[-1]]
    axes = figure.subplots(2, num_shown, squeeze=False)
    figure.suptitle("The strongest pairs of patches,\nand last the weakest", fontsize=9)
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
