"""MobileFaceNet: the published checkpoint, its input convention, its patch grid."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline_lib.networks.backbones.mobilefacenet import Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import import_weights

SPEC = Spec(embedding_dim=128)


def test_has_the_published_number_of_parameters() -> None:
    assert sum(parameter.numel() for parameter in build_network(SPEC).parameters()) == 999_552


def test_sees_columns_8_to_104_rescaled() -> None:
    network = build_network(SPEC).eval()
    images = torch.rand(1, 3, 112, 112) * 2 - 1
    rgb = (images + 1) * 127.5
    seen: list[torch.Tensor] = []
    network.conv1.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    changed = images.clone()
    changed[..., :8] = 1.0
    changed[..., 104:] = -1.0
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(images)
        assert torch.equal(network(changed), embedding)
    torch.testing.assert_close(seen[0], (rgb[..., 8:104] - 127.5) / 128, atol=1e-6, rtol=0)  # float32 rounding
    assert embedding.shape == (1, 128)
    assert patches.shape == (1, 42, 512)
    assert network.grid.shape == (42, 4)
    assert network.grid[0].tolist() == [8, 0, 16, 16]
    assert network.grid[6].tolist() == [8, 16, 16, 16]  # row by row, six cells a row
    assert network.grid[-1].tolist() == [88, 96, 16, 16]


@pytest.mark.parametrize(("px", "map_px", "cell_px"), [(56, 7, 8), (28, 4, 7)])
def test_on_patches_it_starts_at_stride_one_and_crops_nothing(px: int, map_px: int, cell_px: int) -> None:
    network = build_network(Spec(embedding_dim=16, input_px=px)).eval()
    images = torch.rand(1, 3, px, px) * 2 - 1
    with torch.inference_mode():
        embedding, patches = network.forward_with_patches(images)
        changed = images.clone()
        changed[0, :, :, 0] = 1.0
        assert not torch.equal(network(changed), embedding)
    assert embedding.shape == (1, 16)
    assert patches.shape == (1, map_px**2, 512)
    assert network.state_dict()["linear7.conv.weight"].shape == (512, 1, map_px, map_px)
    assert network.grid.tolist() == [
        [cell_px * x, cell_px * y, cell_px, cell_px] for y in range(map_px) for x in range(map_px)
    ]


@pytest.mark.parametrize("px", [112, 28])
def test_trains_from_scratch(px: int) -> None:
    network = build_network(Spec(embedding_dim=16, input_px=px))
    images = torch.rand(4, 3, px, px, generator=torch.Generator().manual_seed(0)) * 2 - 1
    wanted = torch.randn(4, 16, generator=torch.Generator().manual_seed(1))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for _ in range(5):
        optimiser.zero_grad()
        loss = (network(images) - wanted).square().mean()
        loss.backward()
        assert all(parameter.grad is not None for parameter in network.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]  # five steps on one batch; found here: 0.26 (112 px) and 0.21 (28 px)


@pytest.mark.faces
def test_published_weights_tell_people_apart(faces_dir: Path) -> None:
    network = build_network(SPEC)
    import_weights(network, faces_dir / "weights" / "mobilefacenet_xiaoccer_068.ckpt")
    network.eval()
    people = ["George_W_Bush", "Serena_Williams", "Tony_Blair", "Vladimir_Putin", "Jennifer_Capriati", "Hugo_Chavez"]
    faces = []
    for person in people:
        for number in (1, 2, 3):
            path = faces_dir / "lfw" / "images" / person / f"{person}_{number:04d}.jpg"
            photo = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
            faces.append(cv2.resize(photo[75:187, 69:181], (112, 112)))  # deep-funneled: about the template's place
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        unit = torch.nn.functional.normalize(network(images))
    cosines = (unit @ unit.T).numpy()
    same = np.kron(np.eye(len(people)), np.ones((3, 3))).astype(bool)
    genuine, impostor = cosines[same & ~np.eye(len(cosines), dtype=bool)], cosines[~same]
    # without detection or alignment the weights still separate means clearly; random weights give a difference near 0
    assert genuine.mean() - impostor.mean() > 0.3
    assert (genuine > impostor.max()).mean() > 0.5
