"""MobileFaceNet: the published checkpoint, its input convention, its patch grid."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pipeline_lib.backbones.build import build_network
from pipeline_lib.backbones.checkpoints import import_weights
from pipeline_lib.backbones.spec import NetworkSpec

SPEC = NetworkSpec("mobilefacenet", (), embedding_dim=128)


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
