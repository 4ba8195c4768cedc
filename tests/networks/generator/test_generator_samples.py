"""What the discriminator is shown, and pixels of what the generator makes."""

import numpy as np
import torch
from tiny_generator import dataset, face
from torch import nn

from pipeline_lib.networks.generator.samples import batches_from, draw_latents, load_faces, make_faces, smaller
from pipeline_lib.networks.training.augment import drawn_augmentation


def test_every_sample_once_an_epoch_and_the_same_after_a_stop() -> None:
    whole = list(batches_from(0, 11, 6, 2, seed=5))
    assert [epoch for epoch, _ in whole] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    assert sorted(np.concatenate([samples for epoch, samples in whole if epoch == 1])) == list(range(6))
    for start in (1, 3, 10, 11):
        rest = list(batches_from(start, 11, 6, 2, seed=5))
        assert [(epoch, samples.tolist()) for epoch, samples in rest] == [
            (epoch, samples.tolist()) for epoch, samples in whole[start:]
        ]


def test_faces_are_means_of_squares_mirrored_or_not() -> None:
    samples = np.arange(6)
    faces = load_faces(dataset(), samples, 28, seed=1, epoch=2)
    assert faces.shape == (6, 3, 28, 28)
    assert faces.dtype == np.float32
    mirrored = drawn_augmentation(samples, 0, 1, 2)[0].tolist()
    assert 0 < sum(mirrored) < 6
    for sample, is_mirrored in enumerate(mirrored):
        image = face(sample)[:, ::-1] if is_mirrored else face(sample)
        expected = [[image[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].mean() for x in range(28)] for y in range(28)]
        np.testing.assert_allclose(faces[sample, 1], np.array(expected) / 127.5 - 1, atol=1e-6)


def test_a_smaller_picture_by_hand() -> None:
    pixels = np.array([[0, 2], [4, 10]], np.uint8).reshape(1, 2, 2, 1)
    assert smaller(pixels, 1).tolist() == [[[[4.0]]]]
    assert smaller(pixels, 2).tolist() == pixels.tolist()


def test_pixels_are_rounded_and_latents_are_those_of_seed_and_step() -> None:
    values = torch.tensor([-1.0, 0.0, 1.0]).repeat(2, 1)

    class Flat(nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            return values[: len(latents), :, None, None].expand(-1, -1, 2, 2)

    made = make_faces(Flat(), draw_latents(3, 5, 1, 2), torch.device("cpu"), batch_size=2)
    assert made.shape == (3, 2, 2, 3)
    assert made[2, 1, 1].tolist() == [0, 128, 255]  # 127.5 to the even one
    assert np.array_equal(draw_latents(3, 5, 1, 2), draw_latents(3, 5, 1, 2))
    assert not np.array_equal(draw_latents(3, 5, 1, 2), draw_latents(3, 5, 1, 3))
