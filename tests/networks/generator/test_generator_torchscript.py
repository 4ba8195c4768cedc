"""generator.pt: what is in it, and that equal weights give equal bytes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
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


WRITES = """
import sys
from pathlib import Path
from test_generator_torchscript import network
from pipeline_lib.networks.generator.torchscript import write_generator
write_generator(Path(sys.argv[1]), network(1))
"""


@pytest.mark.slow
def test_equal_weights_give_equal_bytes_in_every_process_and_no_place_on_this_disk(
    tmp_path: Path, repository: Path
) -> None:
    for name in ("a", "b"):
        environment = {**os.environ, "PYTHONHASHSEED": str(ord(name))}
        environment["PYTHONPATH"] = os.pathsep.join([str(repository), str(Path(__file__).parent)])
        subprocess.run([sys.executable, "-c", WRITES, str(tmp_path / name)], env=environment, check=True, timeout=120)
    one, same = ((tmp_path / name).read_bytes() for name in "ab")
    assert one == same
    assert str(repository).encode() not in one
