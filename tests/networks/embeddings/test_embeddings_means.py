"""Mean features: as numbers say, whatever the batches, and refused where there are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.world import World
from pipeline_lib.networks.embeddings import embed_shards
from pipeline_lib.networks.embeddings.embed_shards import mean_features
from pipeline_lib.networks.embeddings.means import Means, read_means, write_means

ALONE = World(0, 0, 1, torch.device("cpu"))


class Numbers:
    """Stands in for ShardImages: image number n is grey of value n."""

    def read(self, rows: list[int]) -> np.ndarray:
        return np.stack([np.full((112, 112, 3), row, np.uint8) for row in rows])


def embed(images: np.ndarray) -> tuple[Tensor, Tensor]:
    value = torch.from_numpy(images[:, 0, 0, :1]).float()
    return value.repeat(1, 3), value[:, :, None].repeat(1, 4, 2) * torch.tensor([1.0, 10.0])


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_mean_is_over_all_rows_whatever_the_batches(batch_size: int) -> None:
    means = mean_features(embed, Numbers(), [2, 4, 9, 13], batch_size, ALONE)  # type: ignore[arg-type]
    assert means is not None
    np.testing.assert_array_equal(means.vector, [7, 7, 7])
    np.testing.assert_array_equal(means.patches, [[7, 70]] * 4)
    assert means.num_images == 4


def test_of_many_images_some_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed_shards, "MAX_MEAN_IMAGES", 10)
    means = mean_features(embed, Numbers(), range(101), 8, ALONE)  # type: ignore[arg-type]
    assert means is not None
    assert means.num_images == len(range(0, 101, 11))
    np.testing.assert_allclose(means.vector, np.mean(range(0, 101, 11)))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    means = Means(np.arange(3, dtype=np.float32), np.arange(8, dtype=np.float32).reshape(4, 2), 5)
    write_means(tmp_path, means)
    found = read_means(tmp_path)
    np.testing.assert_array_equal(found.vector, means.vector)
    np.testing.assert_array_equal(found.patches, means.patches)
    assert found.num_images == 5


def test_no_image_no_file_and_a_cut_file_are_named(tmp_path: Path) -> None:
    assert mean_features(embed, Numbers(), [], 8, ALONE) is None  # type: ignore[arg-type]
    write_means(tmp_path, None)
    with pytest.raises(DataError, match="no training or validation image"):
        read_means(tmp_path)
    (tmp_path / "means.arrow").write_bytes(b"ARROW1")
    with pytest.raises(DataError, match="missing or damaged"):
        read_means(tmp_path)
    with pytest.raises(DataError, match="missing or damaged"):
        read_means(tmp_path / "none")
