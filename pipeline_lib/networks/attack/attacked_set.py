"""Adversarial queries as shards: gallery images whose own people a surrogate no longer finds beside them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.geometry import FACE_SHAPE
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table, table_from_rows
from pipeline_lib.data.occlusion.draw import image_rng, query_images
from pipeline_lib.data.occlusion.occluded_set import Occluded
from pipeline_lib.data.shards.aligned import AlignedBatch
from pipeline_lib.data.shards.images import encode_png, is_image
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.networks.attack.pgd import pgd
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.batches import embed_rows
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.attacks import Attack
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 16  # images attacked at once, whatever the machine: the same pixels come out
IMAGES_PER_SHARD = 1000


def write_attacked_set(
    aligned: Path, gallery: list[int], out: Path, kind: str, network: FaceNetwork, mirror: bool, settings: Attack
) -> tuple["pa.Table", "pa.Table"]:
    """Perturb drawn images of the gallery (pgd.pgd) and write `out/attacked-NNNNNN.tar`, laid out as stage occlude's shards.

    An image's similarity is the mean cosine with the other gallery images of its identity, so an image that is alone has
    none and is no query. Which are drawn, and where each starts, follows from the seed and the image id.

    Args:
        aligned: the align stage's folder.
        gallery: the rows of its images that make the gallery (gallery_and_queries.gallery_rows).
        out: an existing, empty folder.
        kind: of the queries.
        network: the surrogate, in eval mode, on the device it computes on.
        mirror: see extract.face_features.
        settings: the entry of `attacks`.

    Returns:
        The shard index (schemas.shard_index.SHARD_INDEX) and what was done (schemas.occlusions.OCCLUSIONS): `drawn` says
        against which network, the bound, the largest change, and the similarity before and after.

    Raises:
        DataError: no identity has two gallery images, an image is unreadable, or see pgd.
    """
    images = ShardImages(aligned)
    index = read_table(aligned / "index.parquet", SHARD_INDEX)
    index = index.filter(is_image(index)).combine_chunks()
    queries, own = own_gallery(images, gallery, network, mirror, settings)
    rows: list[dict[str, object]] = []
    with ShardWriter(out, "attacked", IMAGES_PER_SHARD) as writer:
        starts = range(0, len(queries), BATCH)
        for first in track(starts, f"attacking, batches of {BATCH}", total=len(starts)):
            here = queries[first : first + BATCH]
            batch = AlignedBatch(aligned / "shards", index.take(here))
            done = _attacked(batch, images.read(here), own[first : first + BATCH], kind, network, mirror, settings)
            rows += [attacked.write(writer) for attacked in done]
    return writer.index(), table_from_rows(rows, OCCLUSIONS)


def own_gallery(
    images: ShardImages, gallery: list[int], network: FaceNetwork, mirror: bool, settings: Attack
) -> tuple[list[int], Floats]:
    """The rows that are attacked, in shard order, and for each the mean unit embedding (Q,D) of its person's other images.

    Raises:
        DataError: no identity has two gallery images.
    """
    identities, image_ids = (list(texts.take(gallery)) for texts in (images.identities, images.image_ids))
    places_of: dict[str, list[int]] = {}
    for place, identity in enumerate(identities):
        places_of.setdefault(identity, []).append(place)
    possible = {image_ids[place]: place for places in places_of.values() if len(places) > 1 for place in places}
    if not possible:
        got = f"{len(gallery)} images of {len(places_of)} identities"
        raise DataError("No query can be attacked.", got=got, allowed="an identity with two gallery images")
    drawn = sorted(possible[name] for name in query_images(settings.seed, possible, settings.max_query_images))
    met = sorted({place for query in drawn for place in places_of[identities[query]]})
    vectors, _ = embed_rows(network, images, [gallery[place] for place in met], mirror, BATCH)
    vector_of = dict(zip(met, unit(vectors), strict=True))
    own = [
        np.mean([vector_of[place] for place in places_of[identities[query]] if place != query], axis=0)
        for query in drawn
    ]
    return [gallery[query] for query in drawn], np.stack(own).astype(np.float32)


def _attacked(
    batch: AlignedBatch,
    clean: np.ndarray,
    own: Floats,
    kind: str,
    network: FaceNetwork,
    mirror: bool,
    settings: Attack,
) -> Iterator[Occluded]:
    rows = batch.rows()
    most = settings.epsilon
    starts = [image_rng(settings.seed, row.image_id, "start").uniform(-most, most, FACE_SHAPE) for row in rows]
    found = pgd(network, mirror, clean, own, np.stack(starts).astype(np.float32), settings)
    changes = np.abs(found.images.astype(np.int16) - clean).max(axis=(1, 2, 3))
    for place, row in enumerate(rows):
        drawn = {
            "kind": kind,
            "network": settings.network,
            "epsilon": settings.epsilon,
            "largest_change": int(changes[place]),
            "cosine_before": round(float(found.before[place]), 4),
            "cosine_after": round(float(found.after[place]), 4),
        }
        text = json.dumps(drawn, sort_keys=True, allow_nan=False)
        yield Occluded(row, kind, "query", encode_png(found.images[place]), row.landmarks, text)
