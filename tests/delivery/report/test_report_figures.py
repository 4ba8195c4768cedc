"""Charts with many lines: every line can be told apart, and the legend hides none of them."""

import re
from itertools import pairwise

import numpy as np

from pipeline_lib.delivery.report.drawing import COLOURS, DASHES
from pipeline_lib.delivery.report.figures import det_figure, loss_figure, reliability_figure

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


def test_det_axes_are_in_per_cent_and_end_where_the_pairs_do() -> None:
    far = np.array([0.0, 0.001, 0.3, 1.0])
    svg = det_figure({"a": (far, far**0.2), "raw_pixel": (far, far)}, 40, 300).decode()
    assert "<!-- 0.5 -->" in svg  # of 300 impostors
    assert "<!-- 0.1 -->" not in svg
    assert "<!-- false reject rate, % (40 genuine pairs) -->" in svg
    assert svg == det_figure({"a": (far, far**0.2), "raw_pixel": (far, far)}, 40, 300).decode()
    assert "nan" not in svg


def test_a_reliability_panel_has_its_bins_numbers() -> None:
    svg = reliability_figure({"logistic": [(0.05, 0.0, 0.0, 0.1, 31), (0.95, 1.0, 0.8, 1.0, 7)]}).decode()
    assert "<!-- 31 -->" in svg
    assert "<!-- 7 -->" in svg
