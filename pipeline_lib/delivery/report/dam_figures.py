"""DAM's figures as SVG: densities of two people, the fall of cosines, sweeps, probability against cosine."""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline_lib.core.roc import Doubles
from pipeline_lib.delivery.report.dam_curves import SEGMENTS, OwnClass, Person
from pipeline_lib.delivery.report.drawing import COLOURS, INK, Band, as_svg, draw_bands, one_panel, several_panels

NUM_BINS = 40
AXES = {"k": "k, nearest anchors", "s": "s, scale", "a": "anchors"}
COSINE, NORMALISED = "cosine", "log DAM-R"


def people_figure(people: Sequence[Person]) -> bytes:
    """Densities of two people's pairs, by cosine and by log DAM-R: own pairs filled, pairs with others as lines (DAM, Fig. 1)."""
    figure, axes = several_panels(2, 4.6, 3.0)
    for place, (axis, title) in enumerate(zip(axes, (COSINE, NORMALISED), strict=True)):
        samples = [side[place] for person in people for side in (person.genuine, person.impostor)]
        edges = np.histogram_bin_edges(np.concatenate(samples), NUM_BINS).tolist()
        for number, person in enumerate(people):
            colour = COLOURS[number]
            axis.hist(
                person.genuine[place],
                edges,
                density=True,
                color=colour,
                alpha=0.35,
                label=f"person {number + 1}, own pairs",
            )
            axis.hist(
                person.impostor[place], edges, density=True, color=colour, histtype="step", linestyle=("-", "--")[number],
                linewidth=1.4, label=f"person {number + 1}, with others",
            )  # fmt: skip
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("similarity")
    axes[0].set_ylabel("density")
    axes[0].legend(fontsize=8, frameon=False, loc="upper left")
    return as_svg(figure)


def falling_figure(curves: Mapping[str, Mapping[str, Doubles]]) -> bytes:
    """Cosines with the anchors by rank: median over training images, band from the 5th to the 95th percentile (Fig. 3).

    Args:
        curves: anchors -> dam_curves.falling_cosines.
    """
    figure, axis = one_panel(5.6, 3.2)
    bands = {name: tuple(each[key] for key in ("rank", "median", "low", "high")) for name, each in curves.items()}
    draw_bands(axis, bands, ())  # type: ignore[arg-type]
    axis.set(xscale="log", xlabel="rank of the anchor, nearest first", ylabel="cosine")
    axis.axhline(0.0, color=INK, linewidth=0.6)
    axis.legend(fontsize=8, frameon=False, loc="upper right")
    return as_svg(figure)


def sweep_figure(curves: Mapping[str, Mapping[str, Band]], own: Mapping[str, float]) -> bytes:
    """Gains of TAR over the cosine as k, s or the number of anchors varies, a panel each on one scale (Fig. 4).

    Args:
        curves: k, s, a -> protocol -> (value, points, its interval).
        own: k, s, a -> the anchors' own value, marked.
    """
    figure, axes = several_panels(len(curves), 4.2, 3.2)
    for axis, (varied, by_protocol) in zip(axes, curves.items(), strict=True):
        draw_bands(axis, by_protocol, ())
        axis.axhline(0.0, color=INK, linewidth=0.8)
        axis.set(xscale="log", xlabel=AXES[varied])
        at = sorted({float(value) for band in by_protocol.values() for value in band[0]})
        axis.set_xticks(at, [f"{value:g}" for value in at], fontsize=8)
        axis.minorticks_off()
        if varied in own:
            axis.axvline(own[varied], color=INK, linestyle=":", linewidth=1.0)
    axes[0].set_ylabel("TAR less the cosine's, points")
    axes[-1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    # By the curves: a band that is many times as wide as they are high would leave nothing of them to see.
    points = np.concatenate([band[1] for by_protocol in curves.values() for band in by_protocol.values()])
    reach = max(1.0, 2 * float(np.abs(points).max()))
    for axis in axes:
        axis.set_ylim(-reach, reach)
    return as_svg(figure)


def own_class_figure(found: OwnClass) -> bytes:
    """Training images and their own class (Fig. 5): cosines, probabilities with the two segments marked, the segments' cosines
    and their normalised scores (Fig. 6)."""
    figure, axes = several_panels(4, 3.6, 2.9)
    axes[0].hist(found.cosines, NUM_BINS, color=COLOURS[2], alpha=0.6)
    axes[0].set(title="all: cosine", ylabel="training images")
    axes[1].hist(found.probabilities, NUM_BINS, color=COLOURS[2], alpha=0.6)
    axes[1].set(title="all: probability", yscale="log")
    axes[1].minorticks_off()
    segments = found.segments()
    for number, chosen in enumerate(segments):
        ends = found.probabilities[chosen]
        axes[1].axvspan(float(ends.min()), float(ends.max()), color=COLOURS[number], alpha=0.35, linewidth=0)
    for axis, title, values in (
        (axes[2], "segments: cosine", found.cosines),
        (axes[3], "segments: s cos - log G", found.normalised),
    ):
        edges = np.histogram_bin_edges(values[segments[0] | segments[1]], NUM_BINS).tolist()
        for number, chosen in enumerate(segments):
            low, high = (100 * end for end in SEGMENTS[number])
            label = f"probability, {low:.0f} to {high:.0f} %"
            axis.hist(values[chosen], edges, color=COLOURS[number], alpha=0.35, label=label)
            axis.hist(values[chosen], edges, color=COLOURS[number], histtype="step", linewidth=1.2)
        axis.set_title(title)
    axes[3].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    for axis in axes:
        axis.title.set_fontsize(10)
    return as_svg(figure)
