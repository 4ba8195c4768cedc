"""A teacher's embeddings of training images and of their mirror images: what students learn to give, without labels."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, sha256_file, write_json
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.embedding.extract import Embed, Images, to_network_input
from pipeline_lib.networks.embeddings.store import Floats, StoredPatches

MEAN_FILE = "mean.json"
VIEWS = 2  # the image and its mirror image, in this order
ROWS_AT_ONCE = 4096


def view_grid() -> npt.NDArray[np.int64]:
    """The boxes of the two views, x y w h px: each shows the whole face, int64 (2,4)."""
    return np.array([[0, 0, FACE_PX, FACE_PX]] * VIEWS)


def view_features(network: FaceNetwork) -> Embed:
    """Both views of a batch, apart: no vectors (D = 0), and in the patches' place the embeddings (B,2,D) of each view.

    Args:
        network: in eval mode, on the device it computes on.
    """

    @torch.inference_mode()
    def embed(images: Images) -> tuple[torch.Tensor, torch.Tensor]:
        faces = to_network_input(images, network)
        with torch.autocast("cuda", dtype=torch.bfloat16, enabled=faces.is_cuda):
            views = torch.stack([network(faces), network(faces.flip(3))], dim=1)
        return faces.new_zeros(len(faces), 0), views.float()

    return embed


def write_mean(folder: Path, images: str) -> None:
    """Write mean.json beside the embeddings of stage embed_teacher: their mean over images and views, which centres them.

    Args:
        folder: with the views of view_features.
        images: digest of the training images they are of (data.shards.digest).

    Raises:
        DataError: the file of views is missing or broken, or holds no image.
    """
    views = StoredPatches(folder)
    num = len(views)
    if not num:
        raise DataError("A teacher has no training image to embed.", got="none of split train", where=folder)
    total = np.zeros(views.shape[1])
    for first in range(0, num, ROWS_AT_ONCE):
        block = views.read(np.arange(first, min(first + ROWS_AT_ONCE, num)))
        total += block.sum(axis=(0, 1), dtype=np.float64)
    write_json(folder / MEAN_FILE, {"images": images, "num_images": num, "mean": (total / (VIEWS * num)).tolist()})


class Teacher:
    """What students are to give for each training sample.

        t = (e(view) - mean) / ||e(view) - mean||

    Args:
        folder: of stage embed_teacher.
        image_ids: N, the aligned image that each training sample shows.
        images: digest of the aligned training images.

    Attributes:
        dim: D, which must be the students', too.
        digest: changes when the embeddings do; hex.

    Raises:
        DataError: a file is missing or broken, or the embeddings are of other images.
    """

    def __init__(self, folder: Path, image_ids: Iterable[str], images: str) -> None:
        self._views = StoredPatches(folder)
        about = read_json(folder / MEAN_FILE)
        if about["images"] != images:
            raise DataError(
                "A teacher's embeddings are of other images than those to train on; rerun its stage.",
                got=f"{about['num_images']} images of digest {about['images']}",
                allowed=f"digest {images}",
                where=folder,
            )
        self.dim, self.digest = self._views.shape[1], sha256_file(folder / MEAN_FILE)
        self._mean = np.array(about["mean"], np.float32)
        self._rows = self._views.rows(image_ids)

    def targets(self, samples: npt.NDArray[np.int64], mirrored: npt.NDArray[np.int64]) -> Floats:
        """float32 (B,D) of unit length.

        Args:
            samples: int64 (B,), places in image_ids.
            mirrored: int64 (B,), 1 where the mirror image is shown.

        Raises:
            DataError: an embedding is the mean itself, and so has no direction.
        """
        views = self._views.read(self._rows[samples])[np.arange(len(samples)), mirrored]
        return unit(views - self._mean)
