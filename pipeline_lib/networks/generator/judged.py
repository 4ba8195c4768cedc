"""Fakes held against the training faces by both measures: the table, the figures, and the nearest of each in pictures."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.cosine import unit
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.batches import embed_rows
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.generator.judge import Faces, Ints, Judgement, judge, pixel_vectors
from pipeline_lib.networks.generator.pictures import NUM_SHOWN, draw_strip
from pipeline_lib.networks.generator.samples import Floats
from pipeline_lib.schemas.nearest_faces import EMBEDDINGS, FAKE_TO_TRAINING, PIXELS

Images = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Judged:
    """What stage train_generator writes of it: rows of schemas.nearest_faces, figures as <measure>.<figure of
    judge.Judgement>, and by measure a strip (pictures.draw_strip) of the fakes nearest to a training face.
    """

    table: pa.Table
    figures: dict[str, float]
    strips: Mapping[str, Images]


def judge_fakes(
    fakes: Images, aligned: ShardImages, network: FaceNetwork, mirror: bool, batch_size: int, seed: int
) -> Judged:
    """Hold fakes against the training faces, by a network's embeddings and by pixels.

    Embeddings are taken less the mean of the training faces', which some networks' all point along: what is no face at all
    would lie near to every face there. For comparison, as many training faces are drawn (all, where there are fewer), and
    their own nearest ones looked for.

    Args:
        fakes: uint8 RGB (N,112,112,3), two at least.
        aligned: the shard set, whose split train the generator learned from.
        network, mirror, batch_size: as networks.embedding.batches.embed_rows.
        seed: of the draw.

    Raises:
        DataError: an image is unreadable, or see judge.judge.
    """
    rows = np.flatnonzero([split == "train" for split in aligned.splits])
    people = np.unique([aligned.identities[row] for row in rows.tolist()], return_inverse=True)[1]
    keys = [aligned.keys[row] for row in rows.tolist()]
    drawn = np.sort(np.random.default_rng(seed).choice(len(rows), min(len(fakes), len(rows)), replace=False))
    names = [f"fake {number}" for number in range(len(fakes))]
    nobody = np.zeros(len(fakes), np.int64)

    trained = unit(embed_rows(network, aligned, rows.tolist(), mirror, batch_size)[0])
    made = unit(embed_images(network, fakes, mirror, batch_size, with_patches=False)[0])
    mean = trained.mean(axis=0)
    pixels = _training_pixels(aligned, rows, batch_size)
    by_measure = {
        EMBEDDINGS: judge(
            EMBEDDINGS, Faces(names, nobody, unit(made - mean)), Faces(keys, people, unit(trained - mean)), drawn
        ),
        PIXELS: judge(PIXELS, Faces(names, nobody, pixel_vectors(fakes)), Faces(keys, people, pixels), drawn),
    }
    row_of = dict(zip(keys, rows.tolist(), strict=True))
    return Judged(
        pa.concat_tables([judgement.table for judgement in by_measure.values()]),
        {f"{measure}.{name}": value for measure, one in by_measure.items() for name, value in one.figures.items()},
        {measure: _strip(fakes, aligned, row_of, judgement) for measure, judgement in by_measure.items()},
    )


def _training_pixels(aligned: ShardImages, rows: Ints, batch_size: int) -> Floats:
    batches = (rows[first : first + batch_size].tolist() for first in range(0, len(rows), batch_size))
    return np.concatenate([pixel_vectors(aligned.read(batch)) for batch in batches])


def _strip(fakes: Images, aligned: ShardImages, row_of: Mapping[str, int], judgement: Judgement) -> Images:
    shown = judgement.nearest_first[:NUM_SHOWN].tolist()
    to_training = judgement.table.filter(pc.equal(judgement.table["relation"], FAKE_TO_TRAINING))
    keys, cosines = to_training["nearest"].to_pylist(), to_training["cosine"].to_pylist()
    training = aligned.read([row_of[keys[fake]] for fake in shown])
    limit = judgement.figures["copy_cosine"]
    return draw_strip(fakes[shown], training, [cosines[fake] >= limit for fake in shown])
