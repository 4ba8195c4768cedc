"""The data card's histograms."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.delivery.report.drawing import add_legend, as_svg, line_style, several_panels

NUM_BINS = 24
PANELS = {
    "images": "aligned images a person",
    "brightness": "brightness, mean luminance",
    "sharpness": "sharpness, log10 of the variance\nof the Laplacian",
    "yaw_deg": "turned, degrees",
}


def card_figure(values: Mapping[str, Mapping[str, npt.NDArray[Any]]]) -> bytes:
    """A panel each of PANELS, a line each split: the share of people, or of images, in a bin. NaN is left out.

    Args:
        values: split -> name of PANELS -> (N,).
    """
    figure, axes = several_panels(len(PANELS), 3.0, 2.6)
    for axis, (name, words) in zip(axes, PANELS.items(), strict=True):
        of_split = {split: _finite(columns[name], name) for split, columns in values.items()}
        everything = np.concatenate([*of_split.values(), np.zeros(0)])
        low, high = (float(everything.min()), float(everything.max())) if len(everything) else (0.0, 1.0)
        if name == "images":  # whole numbers: no bin lies between two of them
            width = max(1, round((high - low + 1) / NUM_BINS))
            edges = np.arange(low, high + width + 1, width) - 0.5
        else:
            edges = np.linspace(low, max(high, low + 1e-6), NUM_BINS + 1)
        for number, (split, numbers) in enumerate(of_split.items()):
            if not len(numbers):
                continue
            weights = np.full(len(numbers), 1 / len(numbers))
            style = line_style(number)
            axis.hist(
                numbers,
                edges.tolist(),
                weights=weights,
                histtype="step",
                color=style["color"],
                linestyle=style["linestyle"],
                label=split,
            )
        axis.set_xlabel(words)
        axis.set_ylabel("share of people" if name == "images" else "share of images")
    add_legend(axes[0], len(values), "best")
    return as_svg(figure)


def _finite(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    numbers = np.asarray(values, np.float64)
    if name == "sharpness":
        numbers = np.log10(np.maximum(numbers, 0.1))
    return numbers[np.isfinite(numbers)]
