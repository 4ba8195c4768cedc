"""Our RetinaFace networks: their tensors, strict loading, batches, and sizes."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector
from pipeline_lib.data.faces.detection.retinaface_boxes import anchors
from pipeline_lib.data.faces.detection.retinaface_network import RetinaFace, load_retinaface


@pytest.fixture(scope="module")
def mobilenet() -> RetinaFace:
    torch.manual_seed(0)
    return load_retinaface("mobilenet", RetinaFace("mobilenet").state_dict(), "random")


@pytest.mark.parametrize(
    ("variant", "num_tensors", "num_values"), [("resnet50", 456, 27_351_657), ("mobilenet", 300, None)]
)
def test_tensors_are_those_of_the_published_checkpoint(variant, num_tensors, num_values):
    # METHODS section 1 (456 tensors, 27.35 M values with the counters of 61 batch norms) and SOURCES.md (300 tensors).
    state = RetinaFace(variant).state_dict()
    assert len(state) == num_tensors
    if num_values:
        assert sum(tensor.numel() for tensor in state.values()) == num_values
        assert {"body.conv1.weight", "body.layer1.0.downsample.0.weight", "body.layer4.2.bn3.running_var"} < set(state)
    assert {"fpn.merge2.1.bias", "ssh3.conv7x7_3.0.weight", "ClassHead.2.conv1x1.bias"} < set(state)


def test_data_parallel_prefix_is_dropped_and_anything_else_is_refused(mobilenet):
    state = mobilenet.state_dict()
    load_retinaface("mobilenet", {f"module.{name}": tensor for name, tensor in state.items()}, "x.pth")
    for broken in (
        {name: tensor for name, tensor in state.items() if name != "fpn.merge1.0.weight"},
        {**state, "fc.weight": torch.zeros(1)},
        {**state, "ClassHead.0.conv1x1.bias": torch.zeros(6)},
    ):
        with pytest.raises(CheckpointError, match=r"x\.pth"):
            load_retinaface("mobilenet", broken, "x.pth")
    with pytest.raises(CheckpointError, match="resnet50"):
        load_retinaface("resnet50", state, "x.pth")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 65), (64, 40)])
def test_every_anchor_has_its_outputs(mobilenet, height, width):
    boxes, logits, landmarks = mobilenet(torch.zeros(2, 3, height, width))
    num_anchors = len(anchors(height, width, mobilenet.variant.anchor_px))
    assert boxes.shape == (2, num_anchors, 4)
    assert logits.shape == (2, num_anchors, 2)
    assert landmarks.shape == (2, num_anchors, 10)


def test_normalisation(mobilenet):
    seen = []
    handle = mobilenet.body.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    rgb = torch.tensor([133.0, 127.0, 104.0]).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    mobilenet(rgb)
    handle.remove()
    assert seen[0][0, :, 0, 0].tolist() == [0.0, 10.0, 10.0]  # blue 104-104, green 127-117, red 133-123
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert RetinaFace("resnet50").mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert RetinaFace("resnet50").std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])


def test_a_batch_of_mixed_sizes_finds_what_single_images_give(mobilenet, monkeypatch):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (size, size + 16, 3), dtype=np.uint8) for size in (48, 64, 48, 48, 64)]
    detector = RetinafaceDetector(mobilenet, 0.45, 40)  # of random weights: some anchors score above a half, some below
    single = [detector.detect([image])[0] for image in images]
    for batch_px in (1 << 20, 2 * 48 * 64):
        monkeypatch.setattr("pipeline_lib.data.faces.detection.retinaface.MAX_BATCH_PX", batch_px)
        for found, expected in zip(detector.detect(images), single, strict=True):
            assert len(found) == len(expected) > 0
            for a, b in zip(found, expected, strict=True):
                # Convolutions of another batch size sum in another order: float32 at values of about 100.
                np.testing.assert_allclose(a.box, b.box, atol=1e-3)
                np.testing.assert_allclose(a.landmarks, b.landmarks, atol=1e-3)
    assert detector.detect([]) == []


def test_a_tiny_image_and_an_oblong_one_are_searched(mobilenet):
    found = RetinafaceDetector(mobilenet, 0.999, 40).detect(
        [np.zeros((1, 1, 3), np.uint8), np.zeros((3, 1500, 3), np.uint8)]
    )
    assert [len(faces) for faces in found] == [0, 0]


def test_what_is_found_in_a_shrunk_picture_is_scaled_back(mobilenet):
    class Marker(torch.nn.Module):
        """Finds one box of 256 px around the brightest column and row, wherever the picture's size puts it."""

        variant = mobilenet.variant

        def forward(self, rgb):
            height, width = rgb.shape[2:]
            table = torch.from_numpy(anchors(height, width, self.variant.anchor_px).copy())
            bright = rgb[0].sum(0)
            row, column = divmod(int(bright.argmax()), width)
            large = table[:, 2] == 256
            distance = (table[:, :2] - torch.tensor([column + 0.5, row + 0.5])).norm(dim=1) + 1e6 * ~large
            logits = torch.zeros(1, len(table), 2)
            logits[0, :, 0] = 20.0
            logits[0, distance.argmin(), 1] = 40.0
            return torch.zeros(1, len(table), 4), logits, torch.zeros(1, len(table), 10)

    image = np.zeros((1000, 2048, 3), np.uint8)
    image[498:502, 1196:1204] = 255
    (face,) = RetinafaceDetector(Marker(), 0.9, 40).detect([image])[0]
    # Found in the coarse search (2048 -> 384 px), on a grid of 32 px there: 171 px in the photograph.
    scale = 2048 / 384
    np.testing.assert_allclose(face.box[2:] - face.box[:2], [256 * scale, 256 * 1000 / 188], rtol=0.01)
    np.testing.assert_allclose((face.box[:2] + face.box[2:]) / 2, [1200, 500], atol=16 * scale)
    np.testing.assert_allclose(face.landmarks, np.tile((face.box[:2] + face.box[2:]) / 2, (5, 1)), rtol=1e-5)


def test_make_detector_reads_the_checkpoint(tmp_path, mobilenet):
    torch.save(mobilenet.state_dict(), tmp_path / "w.pth")
    assert isinstance(make_detector("retinaface_mobilenet", tmp_path / "w.pth", 0.9, 40), RetinafaceDetector)
    with pytest.raises(CheckpointError, match="missing"):
        make_detector("retinaface_mobilenet", tmp_path / "v.pth", 0.9, 40)


def test_the_network_is_moved_to_its_device_and_batches_follow(mobilenet):
    class Recorder(torch.nn.Module):
        """Says where it was moved to and what came in; the device "meta" stands for one that is not the CPU."""

        variant = mobilenet.variant

        def to(self, device):
            self.device = device
            return self

        def forward(self, rgb):
            self.came = rgb.device.type
            raise StopIteration

    recorder = Recorder()
    detector = RetinafaceDetector(recorder, 0.9, 40, "meta")
    with pytest.raises(StopIteration):
        detector.detect([np.zeros((48, 48, 3), np.uint8)])
    assert (recorder.device, recorder.came) == ("meta", "meta")
