"""Our ResNet-50 network and retinaface-pytorch's, with the same random weights, on the same pictures."""

import importlib.util

import cv2
import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.data.faces.detection import retinaface_package as detect_retinaface_pytorch
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector
from pipeline_lib.data.faces.detection.retinaface_batches import Inside
from pipeline_lib.data.faces.detection.retinaface_network import RetinaFace
from pipeline_lib.data.faces.detection.retinaface_package import RetinafacePytorchDetector, import_package

# `make test` installs it; without this, a missing package would look like a passed test.
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("retinaface") is None, reason="retinaface-pytorch is not installed: make retinaface"
)


def draw_picture(height: int, width: int, seed: int) -> np.ndarray:
    """Discs of many colours and sizes: something with structure at every scale."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width, 3), rng.integers(0, 256, 3), np.uint8)
    for _ in range(60):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(picture, centre, int(rng.integers(2, 40)), rng.integers(0, 256, 3).tolist(), -1)
    return picture


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [draw_picture(120, 160, 1), draw_picture(131, 97, 2)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory, pictures):
    """Random weights that nevertheless look: untrained heads answer nearly the same everywhere."""
    torch.manual_seed(3)
    network = RetinaFace("resnet50").eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.8, 1.2)
            torch.nn.init.normal_(module.bias, 0.0, 0.1)
    rgb = torch.from_numpy(pictures[0]).permute(2, 0, 1)[None].float()
    heads = [*network.BboxHead, *network.ClassHead, *network.LandmarkHead]
    outputs: dict[torch.nn.Module, torch.Tensor] = {}
    for head in heads:
        head.conv1x1.register_forward_hook(lambda module, _, output: outputs.__setitem__(module, output))
    with torch.inference_mode():
        network(rgb, alone(rgb))
    for head in heads:
        # Unit deviation over the picture for each output, around 0.
        deviation, mean = torch.std_mean(outputs[head.conv1x1], dim=(0, 2, 3))
        head.conv1x1.weight.data /= deviation.view(-1, 1, 1, 1)
        head.conv1x1.bias.data = (head.conv1x1.bias.data - mean) / deviation
    path = tmp_path_factory.mktemp("retinaface") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def ours(weights) -> RetinafaceDetector:
    return make_detector("retinaface_resnet50", weights, 0.6, 40)


@pytest.fixture(scope="module")
def package(weights) -> RetinafacePytorchDetector:
    return make_detector("retinaface_pytorch", weights, 0.6, 40)


def alone(rgb: torch.Tensor) -> Inside:
    return Inside([(rgb.shape[2], rgb.shape[3])])


@needs_package
def test_raw_outputs_are_equal(ours, package, pictures):
    for picture in pictures:
        rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
        network = ours._network
        with torch.inference_mode():
            found = network(rgb, alone(rgb))
            expected = package._model.model((rgb - network.mean) / network.std)
        for a, b in zip(found, expected, strict=True):
            assert b.std() > 0.3  # otherwise equality would say little
            # 50 layers of float32 sums in another order (channels last), on outputs of deviation 1.
            torch.testing.assert_close(a, b, rtol=0, atol=5e-4)


@needs_package
def test_boxes_scores_and_landmarks_are_equal(ours, package, pictures):
    for picture, found, expected in zip(pictures, ours.detect(pictures), package.detect(pictures), strict=True):
        # After the suppression the package drops boxes that begin at or beyond the picture's last row or column.
        height, width = picture.shape[:2]
        found = [face for face in found if face.box[0] < width - 1 and face.box[1] < height - 1]
        assert len(found) == len(expected) > 20
        for a, b in zip(found, expected, strict=True):
            # The package rounds to two decimals (half a unit: 0.005); the rest is what the raw outputs may differ by.
            assert abs(a.score - b.score) <= 0.0055
            np.testing.assert_allclose(a.box, b.box, atol=0.02)
            np.testing.assert_allclose(a.landmarks, b.landmarks, atol=0.02)


@needs_package
def test_no_face_is_an_empty_list(package, pictures):
    detector = RetinafacePytorchDetector(package._model, 0.9999, 40)
    assert detector._model.predict_jsons(pictures[0], confidence_threshold=0.9999)[0]["score"] == -1
    assert detector.detect(pictures[:1]) == [[]]


@needs_package
def test_each_picture_has_a_transform_of_its_own():
    """One that is kept in the shared model is another thread's by the time it is used."""
    seen = []

    class Model:
        transform = None

        def predict_jsons(self, image, **_):
            seen.append((self.transform.transforms[0].max_size, max(image.shape[:2])))
            return []

    model = Model()
    RetinafacePytorchDetector(model, 0.6, 40).detect([np.zeros((40, side, 3), np.uint8) for side in (60, 80)])
    assert seen == [(60, 60), (80, 80)]
    assert model.transform is None


@needs_package
def test_the_supplied_operator_suppresses():
    import_package()
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 9.0], [20.0, 0.0, 30.0, 10.0]])
    kept = torch.ops.torchvision.nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5)
    assert kept.tolist() == [1, 2]


@needs_package
def test_another_checkpoint_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        make_detector("retinaface_pytorch", tmp_path / "other.pth", 0.9, 40)


def test_without_the_package_the_error_says_what_to_run(monkeypatch):
    monkeypatch.setattr(detect_retinaface_pytorch, "PACKAGES", ("no_such_package_of_ours",))
    with pytest.raises(ParamsError, match="make retinaface"):
        make_detector("retinaface_pytorch", None, 0.9, 40)
