"""All sizes of a picture side by side on one canvas, as dlib's detector sees them, and the network's scores of it."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pipeline_lib.data.faces.detection.mmod_network import (
    CELL_PX,
    FIELD_PX,
    FIRST_CELL_PX,
    REACH_CELLS,
    MmodNetwork,
    num_cells,
)

MEAN = (122.782, 117.001, 104.298)  # of R, G, B in 0..255; what is left is divided by 256
WINDOW_PX = 80  # the side of a face on the canvas
STEP = 5 / 6  # from one size to the next
LOWEST_PX = 5  # no size is lower than this
BETWEEN_PX, AROUND_PX = 10, 11  # zeros between the sizes and around them
SHIFT_PX = 0.3  # dlib's pixel x of one size lies at x / STEP + 0.3 of the one before
PIECE_CELLS = 256  # cells of the canvas along a side that are computed at once


@dataclass(frozen=True)
class Place:
    """Where one size of the picture lies on the canvas, px."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Canvas:
    """The places of a picture's sizes, the largest first, and the canvas's own size, px."""

    places: tuple[Place, ...]
    height: int
    width: int


def lay_out(height: int, width: int) -> Canvas:
    """dlib's arrangement: the sizes one below the other, on the left, until half of what is left is placed and the next one
    fits beside; then upwards, on the right, until the next one would touch the largest.

    The arrangement decides which of its pixels are the centres of cells, and what a cell at a picture's edge sees beside it.

    Args:
        height, width: of the picture, px, at least 1.
    """
    sizes = [(height, width)]
    while True:
        h, w = (math.floor(STEP * side) for side in sizes[-1])
        if w == 0 or h < LOWEST_PX:
            break
        sizes.append((h, w))
    below = sum(h + BETWEEN_PX for h, _ in sizes[1:]) - BETWEEN_PX  # of the largest, were all in one column
    bottom, places, beside = AROUND_PX - BETWEEN_PX, [], 0
    for h, w in sizes:
        used = bottom - AROUND_PX + BETWEEN_PX
        if w <= width - beside - BETWEEN_PX and 2 * (used - height) >= below:
            break
        places.append(Place(bottom + BETWEEN_PX, AROUND_PX, h, w))
        bottom, beside = bottom + BETWEEN_PX + h, w
    lowest = bottom
    for h, w in sizes[len(places) :]:
        place = Place(bottom - h, AROUND_PX + width - w, h, w)
        if place.top < AROUND_PX + height:
            break
        places.append(place)
        bottom = place.top - BETWEEN_PX
    return Canvas(tuple(places), lowest + AROUND_PX, width + 2 * AROUND_PX)


def sizes_of(images: Tensor, canvas: Canvas) -> list[Tensor]:
    """The pictures in every size of the canvas, each made from the one before.

    Corner pixels lie on corner pixels (bilinear). Values are kept as float16: up to 1/16 off, for half of the memory.

    Args:
        images: uint8 (B,3,H,W).

    Returns:
        float16 (B,3,h,w) each, 0..255.
    """
    sizes = [images.half()]
    for place in canvas.places[1:]:
        channels = [
            F.interpolate(channel.float(), (place.height, place.width), mode="bilinear", align_corners=True).half()
            for channel in sizes[-1].chunk(3, dim=1)  # one by one, for a large photograph's memory
        ]
        sizes.append(torch.cat(channels, dim=1))
    return sizes


def score_cells(network: MmodNetwork, sizes: Sequence[Tensor], canvas: Canvas) -> Tensor:
    """The network's scores of the canvas, computed in pieces that bound the memory and leave no seams.

    Args:
        network: on the pictures' device.
        sizes: see sizes_of.

    Returns:
        float32 (B,h,w), on the same device; the cell (y,x) has its centre at CELL_PX (y,x) + FIRST_CELL_PX of the canvas.
    """
    height, width = num_cells(canvas.height), num_cells(canvas.width)
    scores = torch.empty(len(sizes[0]), height, width, device=sizes[0].device)
    for top, bottom in _pieces(height):
        for left, right in _pieces(width):
            # The scored cells and those that they look at; what lies beyond the canvas is padded with zeros by the network.
            y, x = max(0, top - REACH_CELLS), max(0, left - REACH_CELLS)
            end_y, end_x = min(height, bottom + REACH_CELLS), min(width, right + REACH_CELLS)
            pixels = _cut(sizes, canvas, _pixels(y, end_y), _pixels(x, end_x))
            scores[:, top:bottom, left:right] = network(pixels)[:, top - y : bottom - y, left - x : right - x]
    return scores


def boxes_of(cells: npt.NDArray[np.int64], canvas: Canvas) -> npt.NDArray[np.float32]:
    """The faces that cells stand for, in pixels of the picture: 80x80 px around the cell, on the canvas.

    Args:
        cells: (N,2), y x.

    Returns:
        float32 (N,4), x0 y0 x1 y1, whole numbers as dlib rounds them, the last row and column included.
    """
    places = np.array([[p.left, p.top, p.width, p.height] for p in canvas.places], dtype=np.float64)
    centres = CELL_PX * cells[:, ::-1].astype(np.float64) + FIRST_CELL_PX
    low, high = places[:, :2], places[:, :2] + places[:, 2:] - 1
    away = np.maximum(0, np.maximum(low - centres[:, None], centres[:, None] - high))
    level = (away**2).sum(axis=2).argmin(axis=1)  # a cell between two places belongs to the nearer one
    centres -= low[level]
    half = (WINDOW_PX - 1) / 2
    corners = np.concatenate([centres - half, centres + half], axis=1)
    while (up := level > 0).any():
        corners[up] = corners[up] / STEP + SHIFT_PX
        level = level - up
    corners = np.floor(corners + 0.5)
    corners[:, 2:] += 1
    return corners.astype(np.float32)


def _pieces(num: int) -> Iterator[tuple[int, int]]:
    """0..num in parts of equal length, at most PIECE_CELLS."""
    edges = np.linspace(0, num, math.ceil(num / PIECE_CELLS) + 1).round().astype(int).tolist()
    return itertools.pairwise(edges)


def _pixels(first: int, end: int) -> slice:
    """What the network needs to see for some cells of a line."""
    return slice(CELL_PX * first, CELL_PX * (end - 1) + FIELD_PX)


def _cut(sizes: Sequence[Tensor], canvas: Canvas, rows: slice, columns: slice) -> Tensor:
    """A part of the canvas as the network takes it."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    piece = torch.zeros(len(sizes[0]), 3, height, width, device=sizes[0].device).to(memory_format=torch.channels_last)
    mean = torch.tensor(MEAN, device=piece.device)[:, None, None]
    for size, place in zip(sizes, canvas.places, strict=True):
        (y0, y1), (to_y0, to_y1) = _common(place.top, place.height, rows)
        (x0, x1), (to_x0, to_x1) = _common(place.left, place.width, columns)
        if y0 < y1 and x0 < x1:
            piece[:, :, to_y0:to_y1, to_x0:to_x1] = (size[:, :, y0:y1, x0:x1].float() - mean) / 256
    return piece


def _common(start: int, length: int, part: slice) -> tuple[tuple[int, int], tuple[int, int]]:
    """What a place on a line has in common with a part of it: first and end, counted from the place and from the part."""
    first, end = max(start, part.start), min(start + length, part.stop)
    return (first - start, end - start), (first - part.start, end - part.start)
