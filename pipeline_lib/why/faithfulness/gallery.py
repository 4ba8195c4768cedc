"""A method's best, median and worst pair, as insertion and deletion have it, in one picture for people. No name is in it."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.tables import read_table
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.explanation.shared.embedder import Images
from pipeline_lib.why.explanation.shared.explanation import Maps
from pipeline_lib.why.explanation.shared.map_file import read_maps
from pipeline_lib.why.explanation.shared.pictures import DRAWING, heatmap_overlay, scale_of_maps

NAMES = ("best", "median", "worst")


def write_gallery(folder: Path, faces_of: Callable[[str, str], Images]) -> None:
    """Draw gallery/gallery.png and gallery.svg of an entry's folder: the genuine pairs whose insertion area less their deletion
    area is the largest, the middle one and the smallest. All maps on one scale; an empty folder where no pair was measured.

    Args:
        folder: the entry's, with maps.arrow and faithfulness.parquet.
        faces_of: image ids -> the aligned faces, uint8 (2, 112, 112, 3).
    """
    with atomic_dir(folder / "gallery") as out:
        measured = read_table(folder / "faithfulness.parquet", FAITHFULNESS)
        gains = pc.subtract(measured["insertion_auc"], measured["deletion_auc"]).to_numpy()
        if not len(gains):
            return
        order = np.argsort(-gains, kind="stable")
        rows = [measured.slice(int(order[place]), 1).to_pylist()[0] for place in (0, len(order) // 2, len(order) - 1)]
        maps = read_maps(folder / "maps.arrow")
        found = [_maps_of(maps, row) for row in rows]
        faces = [faces_of(str(row["image_a"]), str(row["image_b"])) for row in rows]
        texts = [
            f"{name}\n{row['protocol']}\ninsertion {row['insertion_auc']:.3f}\ndeletion {row['deletion_auc']:.3f}"
            for name, row in zip(NAMES, rows, strict=True)
        ]
        with DRAWING:
            for kind, data in _drawn(faces, found, texts).items():
                (out / f"gallery.{kind}").write_bytes(data)


def _maps_of(maps: pa.Table, row: Mapping[str, object]) -> Maps:
    same = [pc.equal(maps[key], row[key]) for key in ("protocol", "image_a", "image_b")]
    one = maps.filter(pc.and_(pc.and_(same[0], same[1]), pc.and_(same[2], maps["genuine"])))
    flat = [np.asarray(one[key][0].as_py(), np.float32) for key in ("map_a", "map_b")]
    return np.stack(flat).reshape(2, FACE_PX, FACE_PX)


def _drawn(faces: list[Images], maps: list[Maps], texts: list[str]) -> dict[str, bytes]:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    limit, _ = scale_of_maps(np.concatenate(maps), are_sums=False)
    figure = Figure(figsize=(8.0, 1.75 * len(faces)), dpi=90, facecolor="white", layout="constrained")
    axes = figure.subplots(len(faces), 4, squeeze=False)
    for row, images, pair, text in zip(axes, faces, maps, texts, strict=True):
        overlaid = [heatmap_overlay(image, saliency, limit) for image, saliency in zip(images, pair, strict=True)]
        for axis, image in zip(row, (images[0], *overlaid, images[1]), strict=True):
            axis.imshow(image, interpolation="bilinear")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        row[0].set_ylabel(text, fontsize=9, rotation=0, ha="right", va="center", labelpad=8)
    for axis, title in zip(axes[0], ("A", "map of A", "map of B", "B"), strict=True):
        axis.set_title(title, fontsize=10)
    png, svg = io.BytesIO(), io.BytesIO()
    FigureCanvasAgg(figure).print_png(png, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": "gallery"}):  # or ids would be drawn anew each time
        FigureCanvasSVG(figure).print_svg(svg, metadata={"Date": None})
    return {"png": png.getvalue(), "svg": svg.getvalue()}
