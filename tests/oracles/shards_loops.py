"""Slow, separate ways to compute what shards, patches and occlusion compute."""

import tarfile
from pathlib import Path

import numpy as np


def members_by_tarfile(folder: Path) -> dict[str, bytes]:
    """Every member of every shard through the standard library: name -> bytes."""
    found = {}
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path) as tar:
            for info in tar.getmembers():
                found[info.name] = tar.extractfile(info).read()
    return found


def cut_by_pixel(images: np.ndarray, positions: list[tuple[int, int]], size_px: int) -> np.ndarray:
    """out[b, k, c, i, j] = images[b, c, y_k + i, x_k + j], one number at a time."""
    num_images, num_channels = images.shape[:2]
    out = np.zeros((num_images, len(positions), num_channels, size_px, size_px), images.dtype)
    for b in range(num_images):
        for k, (x, y) in enumerate(positions):
            for c in range(num_channels):
                for i in range(size_px):
                    for j in range(size_px):
                        out[b, k, c, i, j] = images[b, c, y + i, x + j]
    return out


def inside_polygon(points: np.ndarray, polygon: list[list[float]]) -> np.ndarray:
    """Even-odd rule for (M, 2) points: does a ray to the right cross the outline an odd number of times?"""
    x, y = np.asarray(points, float).reshape(-1, 2).T
    inside = np.zeros(len(x), bool)
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def distance_to_outline(points: np.ndarray, polygon: list[list[float]]) -> np.ndarray:
    """Distance from (M, 2) points to the nearest edge of a closed polygon."""
    p = np.asarray(points, float).reshape(-1, 2)
    nearest = np.full(len(p), np.inf)
    for start, end in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        a, b = np.array(start), np.array(end)
        along = np.clip((p - a) @ (b - a) / max((b - a) @ (b - a), 1e-12), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(p - a - along[:, None] * (b - a)).T))
    return nearest
