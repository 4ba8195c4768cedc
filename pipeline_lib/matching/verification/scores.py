"""The score columns of a table of pairs: raw pixels, cosines, mean-centred cosines, regions, DAM."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, cosine, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.progress import track
from pipeline_lib.matching.dam.anchors import check_strangers, read_anchors
from pipeline_lib.matching.dam.dam import log_dam, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import read_lid
from pipeline_lib.matching.regions.cosines import position_names, region_cosines
from pipeline_lib.matching.regions.fits import read_region_fits
from pipeline_lib.matching.verification.protocols import POSITION_PREFIX, protocol_rows
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_embeddings
from pipeline_lib.schemas.pairs import PAIRS

PAIR_BLOCK = 128  # 256 images of 147 KiB as floats
Rows = npt.NDArray[np.int64]


def score_table(pairs: pa.Table, scores: Mapping[str, npt.ArrayLike]) -> tuple[pa.Table, pa.Schema]:
    """The pairs with one float32 column a score, and the schema of that table."""
    schema = pa.schema([*PAIRS, *[(name, pa.float32()) for name in scores]])
    columns = [pa.array(np.asarray(values, np.float32)) for values in scores.values()]
    return pa.table([*(pairs[name] for name in PAIRS.names), *columns], schema=schema), schema


def raw_pixel_scores(images: ShardImages, pairs: pa.Table) -> Floats:
    """The baseline: cosine of the aligned RGB pixels of each pair's images, pixel_features of each, float32 (N,)."""
    row_of = {image_id: row for row, image_id in enumerate(images.image_ids)}
    sides = [[row_of[image_id] for image_id in pairs[side].to_pylist()] for side in ("image_a", "image_b")]
    parts = [np.zeros(0, np.float32)]
    for first in track(range(0, pairs.num_rows, PAIR_BLOCK), "raw-pixel baseline, blocks of pairs"):
        a, b = (pixel_features(images.read(rows[first : first + PAIR_BLOCK])) for rows in sides)
        parts.append(cosine(a, b))
    return np.concatenate(parts)


def pixel_features(images: npt.NDArray[np.uint8]) -> Floats:
    """Pixels less their mean over the image and its three channels: uint8 (N, H, W, 3) to float32 (N, 3·H·W).

    One mean for all channels leaves the colour of the face in, which the networks see too.
    """
    flat = images.reshape(len(images), -1).astype(np.float32)
    centred: Floats = flat - flat.mean(axis=1, keepdims=True)
    return centred


def cosine_scores(embedded: EmbeddingSet, pairs: pa.Table, network: str) -> dict[str, Floats]:
    """The columns "cosine:<network>" and "cosine_centred:<network>", float32 (N,)."""
    a, b = _image_rows(embedded, pairs)
    centred = np.empty(pairs.num_rows, np.float32)
    folds = pairs["fold"].to_numpy()
    for _, rows in protocol_rows(pairs):
        centred[rows] = centred_cosines(embedded.vectors, a[rows], b[rows], folds[rows])
    plain = cosine(embedded.vectors[a], embedded.vectors[b])
    return {f"cosine:{network}": plain, f"cosine_centred:{network}": centred}


def centred_cosines(vectors: Floats, a: Rows, b: Rows, folds: npt.NDArray[np.integer]) -> Floats:
    """Cosines after taking off the mean feature of the images of the other folds.

    A pair of fold t is scored with the mean over the distinct images of all pairs of folds ≠ t, so a fold's own images
    (which are those judged) have no part in it. Each pair has this one score, whichever fold is held out when a
    threshold is fitted: the public evaluation code instead recomputes all pairs with the held-out fold's mean. The two
    differ by what a ninth of the images moves the mean, and one column is what ROC, accuracy and pictures can share.

    Args:
        vectors: float32 (M, D), unnormalised features.
        a, b: int64 (N,), rows of each pair's images.
        folds: int (N,).

    Returns:
        float32 (N,).

    Raises:
        DataError: fewer than two folds, or an image equals the mean.
    """
    names = np.unique(folds)
    if len(names) < 2:
        raise DataError("Mean-centring takes the mean from other folds.", got=f"{len(names)} fold", allowed=">= 2")
    scores = np.empty(len(a), np.float32)
    for name in names:
        inside = folds == name
        others = np.unique(np.concatenate((a[~inside], b[~inside])))
        mean = vectors[others].mean(axis=0, dtype=np.float64)
        scores[inside] = cosine(vectors[a[inside]] - mean, vectors[b[inside]] - mean)
    return scores


def region_scores(folder: Path, weights_path: Path, pairs: pa.Table) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """A column for each combination of regions, and one for each region alone, float32 (N,).

    "regions_28", "regions_56", "regions_28_56", as many as the positions allow: Σ_i w_i·S_local,i (RRFNet, eq. 2).
    "region.<position>": S_local of that position, a plain cosine (eq. 1).

    Args:
        folder: the region embeddings; their grid names the positions.
        weights_path: the weights of the same positions.

    Raises:
        DataError: a file is missing, positions differ, a combination is missing, or an image has no region features.
    """
    positions = position_names(read_embeddings(folder))
    fits = read_region_fits(weights_path, positions)
    cosines = region_cosines(folder, pairs["image_a"].to_pylist(), pairs["image_b"].to_pylist())
    columns = {name: cosines[:, place] for place, name in enumerate(positions)}
    combined = {
        name: fit.weights.score(np.stack([columns[member] for member in fit.weights.positions], axis=1))
        for name, fit in fits.items()
    }
    single = {f"{POSITION_PREFIX}{name}": values for name, values in columns.items()}
    return {name: values.astype(np.float32) for name, values in combined.items()}, single


def dam_scores(
    embedded: EmbeddingSet, anchors_folder: Path, pairs: pa.Table, scale: float, k: int
) -> dict[str, Floats]:
    """The columns "dam_r" (G from the k nearest anchors) and "dam_l" (G from the regressor): log DAM, float32 (N,).

    Args:
        embedded: of the network the anchors are of.
        anchors_folder: anchors.arrow and lid/.
        scale, k: of DAM, eq. 3.

    Raises:
        DataError: an anchor is somebody in the pairs (named), too few anchors, a file is missing.
        CheckpointError: the regressor is missing, or of another scale or k.
    """
    anchors = read_anchors(anchors_folder / "anchors.arrow")
    a, b = _image_rows(embedded, pairs)
    images, places = np.unique(np.concatenate((a, b)), return_inverse=True)
    check_strangers(anchors, {embedded.identities[row] for row in images.tolist()})
    vectors = unit(embedded.vectors[images])
    cosines = cosine(embedded.vectors[a], embedded.vectors[b])
    by_search = log_lid(nearest_cosines(vectors, anchors.vectors, k), scale)
    by_regressor = read_lid(anchors_folder / "lid", scale, k).log_lid(vectors)
    columns = {}
    for name, lids in (("dam_r", by_search), ("dam_l", by_regressor)):
        values = log_dam(cosines, lids[places[: len(a)]], lids[places[len(a) :]], scale)
        columns[name] = values.astype(np.float32)
    return columns


def _image_rows(embedded: EmbeddingSet, pairs: pa.Table) -> tuple[Rows, Rows]:
    return embedded.rows(pairs["image_a"].to_pylist()), embedded.rows(pairs["image_b"].to_pylist())
