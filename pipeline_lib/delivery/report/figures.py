"""The page's charts as SVG, from arrays; every one has its units on its axes and tells its lines apart without colour."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipeline_lib.delivery.report.drawing import (
    FLOOR_STYLE,
    INK,
    SOFT,
    Band,
    Doubles,
    add_legend,
    as_svg,
    draw_bands,
    line_style,
    line_styles,
    one_panel,
    one_scale,
    several_panels,
    size_with_legend,
)

if TYPE_CHECKING:
    pass

GENUINE, IMPOSTOR = "#0072b2", "#d55e00"
NUM_BINS = 40
DET_TICKS = (0.0001, 0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)

Curve = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def roc_figure(curves: Mapping[str, Curve], num_impostor: int, floors: Collection[str] = ()) -> bytes:
    """ROC of several scores on one protocol; the FAR axis is logarithmic and ends where the impostors resolve no more.

    Args:
        curves: score name -> (far, tar), each in [0, 1], ascending.
        num_impostor: pairs; the lowest FAR drawn is 1 / num_impostor.
        floors: the scores that the others must beat, dotted.
    """
    figure, axis = one_panel(*size_with_legend(5.4, 4.0, len(curves)))
    lowest = 1.0 / max(num_impostor, 2)
    for name, style in line_styles(curves, floors).items():
        far, tar = curves[name]
        axis.plot(np.maximum(far, lowest), tar, **style, label=name)
    axis.set(xscale="log", xlim=(lowest, 1.0), ylim=(0.0, 1.02))
    axis.set_xlabel(f"false accept rate ({num_impostor} impostor pairs)")
    axis.set_ylabel("true accept rate")
    add_legend(axis, len(curves), "lower right")
    return as_svg(figure)


def det_figure(curves: Mapping[str, Curve], num_genuine: int, num_impostor: int, floors: Collection[str] = ()) -> bytes:
    """Detection error trade-off (Martin et al. 1997): both error rates on probit axes, where normal scores give straight lines.

    Args:
        curves, floors: as roc_figure's.
        num_genuine, num_impostor: pairs; the axes end where they resolve no more.
    """
    from scipy.special import ndtri

    figure, axis = one_panel(*size_with_legend(5.4, 4.4, len(curves)))
    lowest = [1.0 / max(number, 4) for number in (num_impostor, num_genuine)]
    for name, style in line_styles(curves, floors).items():
        far, tar = curves[name]
        errors = [np.clip(rate, low, 1 - low) for rate, low in zip((far, 1 - tar), lowest, strict=True)]
        axis.plot(*(ndtri(rate) for rate in errors), **style, label=name)
    for bound, low in ((axis.xaxis, lowest[0]), (axis.yaxis, lowest[1])):
        ticks = [rate for rate in DET_TICKS if rate >= low]
        bound.set_ticks([float(ndtri(rate)) for rate in ticks], [f"{100 * rate:g}" for rate in ticks])
    axis.set(xlim=ndtri([lowest[0], 0.6]), ylim=ndtri([lowest[1], 0.6]))
    axis.grid(color=SOFT, alpha=0.15)
    axis.set_xlabel(f"false accept rate, % ({num_impostor} impostor pairs)")
    axis.set_ylabel(f"false reject rate, % ({num_genuine} genuine pairs)")
    add_legend(axis, len(curves), "best")
    return as_svg(figure)


def reliability_figure(panels: Mapping[str, Sequence[tuple[float, float, float, float, int]]]) -> bytes:
    """Which share of the pairs with a probability is genuine, a panel each, with the shares' intervals and the pairs' numbers.

    Args:
        panels: title -> bins of (mean probability, share, its interval, pairs).
    """
    figure, axes = several_panels(len(panels), 4.2, 4.0)
    for axis, (title, bins) in zip(axes, panels.items(), strict=True):
        chances, shares, lows, highs, counts = (np.array(column) for column in zip(*bins, strict=True))
        axis.plot([0, 1], [0, 1], **FLOOR_STYLE)
        axis.errorbar(
            chances,
            shares,
            [shares - lows, highs - shares],
            color=GENUINE,
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
        )
        for chance, high, count in zip(chances, highs, counts, strict=True):
            axis.annotate(
                str(count), (chance, high), (0, 3), textcoords="offset points", ha="center", fontsize=7, color=SOFT
            )
        axis.set(xlim=(-0.04, 1.04), ylim=(-0.04, 1.1))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("probability")
    axes[0].set_ylabel("share of genuine pairs")
    return as_svg(figure)


def score_histograms(
    scores: Mapping[str, Doubles], genuine: npt.NDArray[np.bool_], thresholds: Mapping[str, float]
) -> bytes:
    """How genuine and impostor pairs spread, one panel a score, with the decision threshold where one is given.

    Args:
        scores: score name -> (N,).
        genuine: (N,).
        thresholds: score name -> value.
    """
    figure, axes = several_panels(len(scores), 4.4, 3.0)
    for axis, (name, values) in zip(axes, scores.items(), strict=True):
        edges = np.histogram_bin_edges(values, NUM_BINS).tolist()
        for wanted, colour, label in ((False, IMPOSTOR, "impostor"), (True, GENUINE, "genuine")):
            axis.hist(values[genuine == wanted], edges, color=colour, alpha=0.35, label=label)
            axis.hist(values[genuine == wanted], edges, color=colour, histtype="step", linewidth=1.2)
        if name in thresholds:
            axis.axvline(thresholds[name], color=INK, linestyle="--", linewidth=1.0, label="threshold")
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("similarity")
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("pairs")
    return as_svg(figure)


def faithfulness_figure(curves: Mapping[str, Mapping[str, Band]], floors: Collection[str] = ()) -> bytes:
    """Insertion and deletion curves, a panel each, on one scale, with 95 % intervals as bands.

    Args:
        curves: "insertion" and "deletion" -> explanation -> (share of changed pixels, mean cosine, its interval).
        floors: the explanations that the others must beat, drawn as raw pixels are, without a band.
    """
    figure, axes = several_panels(len(curves), 4.2, 3.0)
    for axis, (kind, explanations) in zip(axes, curves.items(), strict=True):
        draw_bands(axis, explanations, floors)
        axis.set_title(f"{kind} ({'higher' if kind == 'insertion' else 'lower'} is better)", fontsize=10)
        axis.set_xlabel("share of pixels, most salient first")
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("cosine with the partner")
    one_scale(axes)
    return as_svg(figure)


def errors_figure(curves: Mapping[str, Mapping[str, Band]], floors: Collection[str] = ()) -> bytes:
    """Error rates as a growing share of a face is blurred, a panel each on one scale, with 95 % intervals as bands.

    Args:
        curves: what the panel shows -> explanation -> its band: share and rates in [0, 1].
        floors: as faithfulness_figure's; theirs have no band.
    """
    figure, axes = several_panels(len(curves), 4.2, 3.0)
    for axis, (title, explanations) in zip(axes, curves.items(), strict=True):
        draw_bands(axis, explanations, floors, scale=100.0)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("share of the face that is blurred, %")
        axis.legend(fontsize=8, frameon=False)
    axes[0].set_ylabel("errors, %")
    one_scale(axes)
    return as_svg(figure)


def replacement_figure(curves: Mapping[str, Mapping[str, Band]], floors: Collection[str] = ()) -> bytes:
    """Error rates as a patched image is given back, a panel each, with the curves' intervals.

    Args:
        curves: title of the panel -> explanation -> (per cent of the pixels, rate in [0, 1], its interval).
        floors: as faithfulness_figure's.
    """
    num_lines = max(map(len, curves.values()))
    figure, axes = several_panels(len(curves), *size_with_legend(4.6, 3.2, num_lines))
    for axis, (title, explanations) in zip(axes, curves.items(), strict=True):
        draw_bands(axis, explanations, floors)
        axis.set(xlim=(0.0, 100.0), ylim=(0.0, None))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("% of the pixels up for return, in the map's order")
    axes[0].set_ylabel("error rate")
    add_legend(axes[-1], num_lines, "best")
    return as_svg(figure)


def alpha_figure(curves: Mapping[str, Band], alpha: float) -> bytes:
    """P@1 by the share of the comparison in the score, with the intervals as bands, and the entry's own share marked.

    Args:
        curves: kind of query -> (alpha, per cent, its interval or NaN).
        alpha: the entry's.
    """
    figure, axis = one_panel(6.4, 3.2)
    draw_bands(axis, curves, ())
    axis.axvline(alpha, color=INK, linestyle=":", linewidth=1.0)
    axis.set(xlim=(0.0, 1.0), xlabel="alpha: 0 cosine alone, 1 comparison alone", ylabel="P@1, %")
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return as_svg(figure)


def beta_figure(curves: Mapping[str, Mapping[str, Band]], measure: str) -> bytes:
    """A measure of verification by beta, a panel a protocol, with the intervals as bands.

    Args:
        curves: protocol -> which pairs -> (beta > 0, measure in [0, 1], its interval).
        measure: its name.
    """
    figure, axes = several_panels(len(curves), 3.6, 3.0)
    for axis, (protocol, halves) in zip(axes, curves.items(), strict=True):
        shown = {name: (beta, 100 * y, 100 * low, 100 * high) for name, (beta, y, low, high) in halves.items()}
        draw_bands(axis, shown, ())
        axis.set(xscale="log", xlabel="beta: more compression to the right")
        axis.set_xticks(next(iter(shown.values()))[0])
        axis.minorticks_off()
        axis.set_title(protocol, fontsize=10)
    axes[0].set_ylabel(f"{measure}, %")
    axes[0].legend(fontsize=8, frameon=False)
    return as_svg(figure)


def cmc_figure(curves: Mapping[str, Curve], floors: Collection[str] = ()) -> bytes:
    """Share of the probes that are found, by rank, on a logarithmic axis.

    Args:
        curves: score name -> (ranks from 1, shares in [0, 1]), ascending.
        floors: as roc_figure's.
    """
    figure, axis = one_panel(*size_with_legend(5.4, 4.0, len(curves)))
    styles = line_styles(curves, floors)
    for name, (ranks, shares) in curves.items():
        axis.plot(ranks, shares, **styles[name], label=name)
    axis.set(xscale="log", ylim=(0.0, 1.02))
    axis.set_xlabel("rank")
    axis.set_ylabel("share of probes found")
    add_legend(axis, len(curves), "lower right")
    return as_svg(figure)


def loss_figure(histories: Mapping[str, Curve]) -> bytes:
    """Training losses against epochs.

    Args:
        histories: network name -> (epochs done, loss).
    """
    figure, axis = one_panel(*size_with_legend(5.4, 3.4, len(histories)))
    for number, (name, (epoch, loss)) in enumerate(histories.items()):
        axis.plot(epoch, loss, **line_style(number), linewidth=1.4, label=name)
    axis.set(xlabel="epoch", ylabel="training loss", ylim=(0.0, None))
    add_legend(axis, len(histories), "best")
    return as_svg(figure)


def nearest_figure(curves: Mapping[str, Mapping[str, Doubles]], limits: Mapping[str, float]) -> bytes:
    """How near the nearest one is, a panel a measure: the share of faces whose nearest one has at most so large a cosine.

    Args:
        curves: title of the panel -> who among whom -> cosines (N,), N >= 1.
        limits: by title, the cosine from which on a face counts as a copy.
    """
    figure, axes = several_panels(len(curves), 4.6, 3.2)
    for axis, (title, relations) in zip(axes, curves.items(), strict=True):
        for number, (name, cosines) in enumerate(relations.items()):
            shares = np.arange(1, len(cosines) + 1) / len(cosines)
            axis.step(np.sort(cosines), 100 * shares, where="post", **line_style(number), linewidth=1.6, label=name)
        axis.axvline(limits[title], color=INK, linestyle=":", linewidth=1.0)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("cosine with the nearest one; dotted: a copy")
    axes[0].set_ylabel("faces, %")
    axes[-1].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return as_svg(figure)
