"""Non-maximum suppression and anchors, written as plain loops from their definitions."""


def iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1; 0 where the union has no area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    overlap = width * height if width > 0 and height > 0 else 0.0
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap
    return overlap / union if union > 0 else 0.0


def suppress(boxes: list[list[float]], scores: list[float], max_iou: float) -> list[int]:
    """Indices of the boxes that survive, by falling score."""
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(iou(boxes[index], boxes[other]) <= max_iou for other in kept):
            kept.append(index)
    return kept


def list_anchors(height: int, width: int, anchor_px: list[list[int]]) -> list[list[float]]:
    """Centre x, centre y and side of every anchor: strides outermost, then rows, columns and the sides of a cell."""
    rows = []
    for stride, sides in zip((8, 16, 32), anchor_px, strict=True):
        i = 0
        while i * stride < height:
            j = 0
            while j * stride < width:
                rows += [[(j + 0.5) * stride, (i + 0.5) * stride, side] for side in sides]
                j += 1
            i += 1
    return rows
