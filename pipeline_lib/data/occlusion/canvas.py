"""Antialiased shapes on an aligned image, every one of them remembered."""

import cv2
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]
Plane = npt.NDArray[np.float32]
Colour = tuple[int, int, int]

FINER = 4  # subpixels a side when a shape's share of a pixel is measured
SUBPIXEL_BITS = 4  # of OpenCV's fixed-point coordinates, on top of FINER
PATH_DECIMALS = 2  # what is stored is exactly what is drawn
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
FULL_CHROMA = 16.0  # mean of max(RGB) - min(RGB) from which on a photograph is taken for a coloured one


class Canvas:
    """An image that shapes are painted on; `parts` lists what was painted, ready for JSON.

    On a grey photograph colours come out grey, on a faintly coloured one pale.

    Args:
        image: uint8 RGB (H, W, 3); it is not changed.
    """

    def __init__(self, image: npt.NDArray[np.uint8]) -> None:
        self.pixels: npt.NDArray[np.float32] = image.astype(np.float32)
        self.parts: list[dict[str, object]] = []
        self._chroma = min(1.0, float(np.mean(image.max(axis=2) - image.min(axis=2))) / FULL_CHROMA)

    def paint(
        self,
        part: str,
        outline: Points,
        colour: Colour,
        *,
        texture: Plane | float = 1.0,
        opacity: float = 1.0,
        within: Plane | None = None,
    ) -> Plane:
        """Paint a filled polygon: pixels <- (1 - c) pixels + c colour * texture, with c its opacity times its coverage.

        Args:
            part: what it is, for the record.
            outline: (N, 2) x, y in pixels, centres of pixels at whole numbers.
            colour: RGB 0..255, as on a coloured photograph.
            texture: factor on the colour, a number or (H, W) or (H, W, 3).
            opacity: 0..1.
            within: coverage (H, W) of an earlier part that this one may not leave.

        Returns:
            float32 (H, W), the share of each pixel that was covered, 0..1.
        """
        path: npt.NDArray[np.float64] = np.asarray(outline, np.float64).round(PATH_DECIMALS)
        covered = coverage(path, self.pixels.shape[:2])
        if within is not None:
            covered = covered * within
        box = _bounding_box(
            path, self.pixels.shape[:2]
        )  # all else stays as it is: blending only here is 3 times faster
        factor = np.asarray(texture, np.float32)
        factor = np.atleast_3d(factor[box] if factor.ndim else factor)
        shaded = np.clip(np.asarray(colour, np.float32) * factor, 0, 255)
        weight = (opacity * covered[box])[:, :, None]
        self.pixels[box] = self.pixels[box] * (1 - weight) + _paled(shaded, self._chroma) * weight
        drawn_colour = np.rint(_paled(np.array(colour, np.float32), self._chroma)).astype(int).tolist()
        record: dict[str, object] = {"part": part, "points": path.tolist(), "colour": drawn_colour, "opacity": opacity}
        self.parts.append(record | {"clipped": within is not None})
        return covered

    def lay(self, part: str, picture: Plane, points: npt.ArrayLike, *, texture: Plane | float = 1.0) -> None:
        """Lay a picture on the image: pixels <- (1 - alpha) pixels + texture * colours.

        Args:
            part: what it is, for the record.
            picture: float32 (H, W, 4), RGB 0..255 times alpha, and alpha 0..1; pale where the image is, too.
            points: (N, 2) px, where its anchors lie, for the record.
            texture: factor on the colours, a number or (H, W).
        """
        colours, alpha = picture[..., :3], picture[..., 3:]
        shaded = np.minimum(colours * np.atleast_3d(np.asarray(texture, np.float32)), 255 * alpha)
        self.pixels = self.pixels * (1 - alpha) + _paled(shaded, self._chroma)
        path = np.asarray(points, np.float64).round(PATH_DECIMALS)
        self.parts.append({"part": part, "points": path.tolist()})

    def image(self) -> npt.NDArray[np.uint8]:
        """uint8 RGB (H, W, 3); pixels that nothing was painted on are those of the original."""
        return np.rint(self.pixels).astype(np.uint8)


def coverage(outline: npt.NDArray[np.float64], shape: tuple[int, int]) -> Plane:
    """Share of each pixel inside a polygon, from FINER x FINER samples: float32 `shape`, 0..1."""
    covered = np.zeros(shape, np.float32)
    rows, columns = box = _bounding_box(outline, shape)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if height and width:
        # One pixel more on each side: OpenCV smears what lies left of its canvas over the canvas's first column.
        fine = np.zeros(((height + 2) * FINER, (width + 2) * FINER), np.uint8)
        corners = ((outline - (columns.start - 1, rows.start - 1) + 0.5) * FINER - 0.5) * 2**SUBPIXEL_BITS
        cv2.fillPoly(fine, [np.rint(corners).astype(np.int32)], 255, shift=SUBPIXEL_BITS)
        share = cv2.resize(fine, (width + 2, height + 2), interpolation=cv2.INTER_AREA) / np.float32(255)
        covered[box] = share[1:-1, 1:-1]
    return covered


def _bounding_box(outline: npt.NDArray[np.float64], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of all pixels that a polygon may touch; empty where it lies outside the image."""
    low = np.clip(np.floor(outline.min(axis=0)) - 1, 0, (shape[1], shape[0])).astype(int).tolist()
    high = np.clip(np.ceil(outline.max(axis=0)) + 2, 0, (shape[1], shape[0])).astype(int).tolist()
    return slice(low[1], high[1]), slice(low[0], high[0])


def smooth_outline(corners: Points, num_between: int = 6) -> Points:
    """A closed Catmull-Rom curve through (N, 2) corners, as (N * num_between, 2) points."""
    before, start, end, after = (np.roll(corners, shift, axis=0)[:, None, :] for shift in (1, 0, -1, -2))
    return _catmull_rom(before, start, end, after, num_between)


def smooth_line(corners: Points, num_between: int = 6) -> Points:
    """An open Catmull-Rom curve through (N, 2) corners, from the first to the last."""
    padded = np.concatenate([2 * corners[:1] - corners[1:2], corners, 2 * corners[-1:] - corners[-2:-1]])[:, None, :]
    curve = _catmull_rom(padded[:-3], padded[1:-2], padded[2:-1], padded[3:], num_between)
    return np.concatenate([curve, corners[-1:]])


def ribbon(line: Points, width_px: float, *, tapered: bool = False) -> Points:
    """The outline of a line drawn with a pen of width_px; `tapered` lets both ends run out to a point."""
    step = np.gradient(line, axis=0)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / np.maximum(np.hypot(*step.T), 1e-6)[:, None]
    pen = np.full(len(line), 0.5 * width_px)
    if tapered:
        pen *= np.sin(np.linspace(0.05, np.pi - 0.05, len(line)))
    return np.concatenate([line + pen[:, None] * normal, (line - pen[:, None] * normal)[::-1]]).astype(np.float32)


def _paled(colours: npt.NDArray[np.float32], chroma: float) -> npt.NDArray[np.float32]:
    """(..., 3) of RGB with their saturation times `chroma`; the luminance stays."""
    grey = (colours @ LUMINANCE)[..., None]
    return (grey + np.float32(chroma) * (colours - grey)).astype(np.float32)


def _catmull_rom(before: Points, start: Points, end: Points, after: Points, num_between: int) -> Points:
    t = np.arange(num_between, dtype=np.float32)[None, :, None] / np.float32(num_between)
    curve = start + 0.5 * t * (
        end - before + t * (2 * before - 5 * start + 4 * end - after + t * (3 * (start - end) + after - before))
    )
    return curve.reshape(-1, 2).astype(np.float32)
