"""The training faces, embedded."""

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.kind import TrainingFaces
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.batches import embed_rows
from pipeline_lib.networks.embedding.images import ShardImages


def training_faces(network: FaceNetwork, images: ShardImages, mirror: bool, batch_size: int) -> TrainingFaces:
    """Embed all images of the train split; for the arguments see embed_rows.

    Raises:
        DataError: there is none, or an image is unreadable.
    """
    rows = np.flatnonzero([split == "train" for split in images.splits])
    if not len(rows):
        raise DataError("There is no training image to measure G on.", allowed="images of the train split")
    vectors, _ = embed_rows(network, images, rows.tolist(), mirror, batch_size)
    return TrainingFaces(list(images.image_ids.take(rows)), list(images.identities.take(rows)), vectors)
