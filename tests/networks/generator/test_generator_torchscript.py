"""generator.pt: what is in it, and that equal weights give equal bytes."""

from pathlib import Path

import torch

from pipeline_lib.networks.generator.architecture import FakeFaces, GeneratorNetwork, draw_weights
from pipeline_lib.networks.generator.torchscript import write_generator


def network(seed: int) -> GeneratorNetwork:
    made = GeneratorNetwork(6, 28, 2, 8)
    draw_weights(made, torch.Generator().manual_seed(seed))
    for parameter in made.parameters():
        parameter.data += 0.01  # the last layer begins at 0
    return made.to(memory_format=torch.channels_last)


def test_a_file_makes_the_faces_of_its_network(tmp_path: Path) -> None:
    made = network(1)
    write_generator(tmp_path / "deep" / "generator.pt", made)
    loaded = torch.jit.load(tmp_path / "deep" / "generator.pt")
    assert loaded.latent_dim == 6
    latents = torch.randn(3, 6)
    faces = loaded(latents)
    assert faces.shape == (3, 3, 112, 112)
    assert faces.abs().max() <= 1
    torch.testing.assert_close(faces, FakeFaces(made)(latents), atol=1e-6, rtol=1e-5)
    assert loaded(latents[:1]).shape == (1, 3, 112, 112)


def test_equal_weights_give_equal_bytes_and_no_place_on_this_disk(tmp_path: Path, repository: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_generator(tmp_path / name, network(seed))
    one, same, other = ((tmp_path / name).read_bytes() for name in "abc")
    assert one == same != other
    assert str(repository).encode() not in one
