"""Charts with many lines: every line can be told apart, and the legend hides none of them."""

import re
from itertools import pairwise

import numpy as np

from pipeline_lib.delivery.report.figures import COLOURS, DASHES, loss_figure

LINE = re.compile(
    r'style="fill: none; (?:stroke-dasharray: ([^;]*); [^"]*)?stroke: (#[0-9a-f]{6})[^"]*stroke-width: 1\.4'
)


def drawn(num_lines: int) -> tuple[list[tuple[str, str]], float]:
    """(dashes, colour) of every line, in the order of drawing, and the picture's width in points."""
    epochs = np.arange(3.0)
    svg = loss_figure({f"network {number}": (epochs, epochs + number) for number in range(num_lines)}).decode()
    size = re.search(r'<svg[^>]* width="([0-9.]+)pt"', svg)
    assert size
    return [(dashes, colour) for dashes, colour in LINE.findall(svg)], float(size[1])


def test_twenty_four_lines_differ() -> None:
    lines, _ = drawn(len(COLOURS) * len(DASHES))
    chart, legend = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    assert len(chart) == 24
    assert sorted(chart) == sorted(legend)
    assert len(set(chart)) == 24


def test_neighbours_differ_without_colour() -> None:
    dashes = [dashes for dashes, _ in drawn(12)[0][:12]]
    assert all(a != b for a, b in pairwise(dashes))


def test_many_lines_have_their_legend_beside_the_axes() -> None:
    assert drawn(9)[1] > drawn(8)[1] + 100
