"""Networks as other programs read them: .pth and .safetensors exactly, ONNX up to float32 sums; and what is refused."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.networks.backbones import bagnet, dlib_resnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import import_weights
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.export import export_network

SMALL = {"width": 0.125, "embedding_dim": 8}
ONE_EACH = {**SMALL, "blocks": (1, 1, 1, 1)}
OF_PATCHES = {"side_px": 28, "layout": "no_corners33", "mask_share": 0.4}
SPECS = {
    "iresnet": iresnet.Spec(input_px=56, **ONE_EACH),  # a region network
    "mobilefacenet": mobilefacenet.Spec(embedding_dim=8),
    "bagnet17": bagnet.Spec(field_px=17, **ONE_EACH),
    "bagnet33": bagnet.Spec(field_px=33, **ONE_EACH),
    "vit": vit.Spec(depth=1, heads=2, token_px=16, **SMALL),
    "dlib_resnet": dlib_resnet.Spec(embedding_dim=8, published=False),
    "rrfnet": vit.Spec(depth=1, heads=2, token_px=7, patches=OF_PATCHES, **SMALL),
}
# Exporting takes seconds; left out are bagnet17, of bagnet33's class, and vit, which is inside this rrfnet.
ONNX_TESTED = ("iresnet", "mobilefacenet", "bagnet33", "dlib_resnet", "rrfnet")


def some_images(count: int, px: int) -> torch.Tensor:
    return torch.rand(count, 3, px, px, generator=torch.Generator().manual_seed(count)) * 2 - 1


def moved(arch: str) -> FaceNetwork:
    """A network whose statistics a training step has moved, so that none is 0 or 1."""
    network = build_network(SPECS[arch], seed=5)
    network(some_images(3, network.spec.input_px))
    return network.eval()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("arch", SPECS)
def test_state_dicts_come_back_exactly(arch: str, suffix: str, tmp_path: Path) -> None:
    network, path = moved(arch), tmp_path / "new" / f"network.{suffix}"
    export_network(network, path)
    wanted = network.state_dict()
    read = torch.load(path, weights_only=True) if suffix == "pth" else load_file(path)
    assert type(read) is dict
    assert set(read) == set(wanted)
    assert all(torch.equal(read[name], value) for name, value in wanted.items())
    assert all(value.is_contiguous() for value in read.values())
    other = build_network(network.spec, seed=6)
    import_weights(other, path)
    assert all(torch.equal(value, wanted[name]) for name, value in other.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("arch", ONNX_TESTED)
def test_onnx_computes_the_same_for_any_number_of_images(arch: str, tmp_path: Path) -> None:
    network, path = moved(arch), tmp_path / "network.onnx"
    px = network.spec.input_px
    export_network(network, path)
    assert [file.name for file in tmp_path.iterdir()] == ["network.onnx"]  # weights inside
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.type, given.shape) == ("image", "tensor(float)", ["N", 3, px, px])
    assert (made.name, made.type, made.shape) == ("embedding", "tensor(float)", ["N", 8])
    for count in (1, 2, 3):
        images = some_images(count, px)
        with torch.inference_mode():
            expected = network(images)
        found = torch.from_numpy(session.run(["embedding"], {"image": images.numpy()})[0])
        # float32 sums in another order, normalisation folded into weights; found here: at most 2e-6
        assert (found - expected).norm() < 1e-5 * expected.norm()


@pytest.mark.parametrize("name", ["network.pt", "network", "network.onnx.gz", "network.ONNX"])
def test_another_suffix_is_refused_with_the_allowed_ones(name: str, tmp_path: Path) -> None:
    network = build_network(SPECS["iresnet"]).eval()
    with pytest.raises(CheckpointError, match=rf"got: {name}\n  allowed: \.pth, \.onnx, \.safetensors"):
        export_network(network, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
def test_a_place_that_cannot_be_written_to(suffix: str, tmp_path: Path) -> None:
    network = build_network(SPECS["vit"]).eval()
    (tmp_path / "file").write_text("no folder")
    (tmp_path / f"folder{suffix}").mkdir()
    too_long = "n" * 250 + suffix
    for path in (
        tmp_path / "file" / f"n{suffix}",
        tmp_path / f"folder{suffix}",
        tmp_path / too_long,
        Path(f"/proc/n{suffix}"),
    ):
        if suffix == ".onnx" and path.is_dir():
            continue  # found only when the file takes its name; the same line of code, three seconds of exporting
        with pytest.raises(CheckpointError, match=rf"cannot be written there[\s\S]*where: .*{suffix}"):
            export_network(network, path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", f"folder{suffix}"]


def test_an_existing_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "n.pth"
    path.write_text("old")
    export_network(build_network(SPECS["vit"]).eval(), path)
    assert "cls_token" in torch.load(path, weights_only=True)
