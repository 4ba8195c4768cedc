"""Anchors of a TorchScript generator, and what is no generator of faces."""

from pathlib import Path

import numpy as np
import pytest
import torch
from some_anchors import entry, find
from torch import Tensor, nn

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.matching.anchors.generated import made_faces

# TorchScript is deprecated in favour of torch.export, but it is the format that can be run without the generator's code.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


class Flat(nn.Module):
    """One colour a face: tanh of the latents' first three numbers times `gain`."""

    latent_dim: torch.jit.Final[int]

    def __init__(self, side: int = 112, gain: float = 1.0, channels: int = 3) -> None:
        super().__init__()
        self.latent_dim, self.side, self.gain, self.channels = 5, side, gain, channels

    def forward(self, latents: Tensor) -> Tensor:
        """(B, 5) to (B, channels, side, side)."""
        colours = self.gain * torch.tanh(latents[:, : self.channels])
        return colours[:, :, None, None].expand(-1, -1, self.side, self.side)


class Unsaid(Flat):
    """A generator that does not say how long its latents are."""

    latent_dim: int

    def __init__(self) -> None:
        super().__init__()
        del self.latent_dim


def scripted(path: Path, module: nn.Module) -> str:
    torch.jit.save(torch.jit.script(module), path)
    return str(path)


def test_faces_of_nobody_by_hand(tmp_path):
    one = entry("generated", scripted(tmp_path / "g.pt", Flat()), max_anchors=70, seed=3)  # more than a batch of 64
    found = find(one, Path())
    assert list(found.identities) == list(found.image_ids)
    assert (found.identities[0], found.identities[-1], len(found.identities)) == (
        "generated-000000",
        "generated-000069",
        70,
    )
    latents = np.random.default_rng(3).standard_normal((70, 5), dtype=np.float32)
    expected = np.rint((np.tanh(latents[:, :3]) + 1) * 127.5) + 1  # mean_colours adds 1
    np.testing.assert_allclose(found.vectors, expected, rtol=0, atol=1.0)  # a colour at a half may round either way
    np.testing.assert_array_equal(found.vectors, find(one, Path()).vectors)
    other = find(entry("generated", str(tmp_path / "g.pt"), max_anchors=70, seed=4), Path())
    assert not np.array_equal(found.vectors, other.vectors)


@pytest.mark.parametrize("side", [64, 256])
def test_another_side_is_resized(tmp_path, side):
    generator = torch.jit.script(Flat(side))
    faces = made_faces(generator, torch.tensor([[0.0, 9.0, -9.0, 0.0, 0.0]]), "g")
    assert faces.shape == (1, 112, 112, 3)
    assert faces.dtype == np.uint8
    np.testing.assert_array_equal(faces[0, 50, 50], [128, 255, 0])  # 127.5 to even


def test_a_length_that_the_file_does_not_say_comes_from_the_entry(tmp_path):
    path = scripted(tmp_path / "g.pt", Unsaid())
    with pytest.raises(CheckpointError, match=r"how long[\s\S]*latent_dim"):
        find(entry("generated", path), Path())
    assert len(find(entry("generated", path, latent_dim=5, max_anchors=3), Path()).identities) == 3
    linear = scripted(tmp_path / "linear.pt", nn.Linear(5, 3))
    with pytest.raises(DataError, match=r"does not take its latents[\s\S]*\(3, 2\)"):
        find(entry("generated", linear, latent_dim=2, max_anchors=3), Path())
    said = scripted(tmp_path / "said.pt", Flat())
    with pytest.raises(CheckpointError, match=r"another length[\s\S]*got: 4[\s\S]*allowed: 5"):
        find(entry("generated", said, latent_dim=4), Path())


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Flat(gain=255.0), r"another range[\s\S]*in \[-1, 1\]"),
        (Flat(gain=float("nan")), r"another range[\s\S]*NaN"),
        (Flat(gain=float("inf")), r"another range[\s\S]*NaN or infinity"),
        (Flat(channels=1), r"something else than pictures[\s\S]*\(3, 1, 112, 112\)"),
        (nn.Linear(5, 3), r"something else than pictures[\s\S]*\(3, 3\)"),
    ],
    ids=["range", "nan", "infinite", "grey", "vectors"],
)
def test_what_makes_no_faces_is_refused(tmp_path, module, message):
    path = scripted(tmp_path / "g.pt", module)
    with pytest.raises(DataError, match=message):
        find(entry("generated", path, max_anchors=3, latent_dim=5), Path())


def test_what_is_no_torchscript_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"missing[\s\S]*absent\.pt"):
        find(entry("generated", str(tmp_path / "absent.pt")), Path())
    (tmp_path / "text.pt").write_text("no archive")
    with pytest.raises(CheckpointError, match="no TorchScript"):
        find(entry("generated", str(tmp_path / "text.pt")), Path())
    torch.save({"weight": torch.zeros(2)}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="no TorchScript"):
        find(entry("generated", str(tmp_path / "state.pt")), Path())
