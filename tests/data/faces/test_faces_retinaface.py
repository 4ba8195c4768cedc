"""Our RetinaFace networks: their tensors, strict loading, batches, and sizes."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.retinaface import RetinafaceDetector
from pipeline_lib.data.faces.detection.retinaface_batches import Inside, batches, on_canvas
from pipeline_lib.data.faces.detection.retinaface_boxes import anchors
from pipeline_lib.data.faces.detection.retinaface_network import RetinaFace, load_retinaface


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random weights of the small network; the statistics of its batch normalisations are none that change nothing."""
    torch.manual_seed(0)
    return {
        name: tensor + torch.rand_like(tensor) * 0.2 if name.endswith(("running_mean", "running_var")) else tensor
        for name, tensor in RetinaFace("mobilenet").state_dict().items()
    }


@pytest.fixture(scope="module")
def mobilenet(state) -> RetinaFace:
    return load_retinaface("mobilenet", state, "random")


def alone(height: int, width: int, num: int = 1) -> Inside:
    return Inside([(height, width)] * num)


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


def test_data_parallel_prefix_is_dropped_and_anything_else_is_refused(state):
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
    boxes, logits, landmarks = mobilenet(torch.zeros(2, 3, height, width), alone(height, width, 2))
    num_anchors = len(anchors(height, width, mobilenet.variant.anchor_px))
    assert boxes.shape == (2, num_anchors, 4)
    assert logits.shape == (2, num_anchors, 2)
    assert landmarks.shape == (2, num_anchors, 10)


@pytest.mark.parametrize("variant", ["mobilenet", "resnet50"])
def test_the_folded_network_is_the_published_one(variant):
    """Against the network before folding, whose input is scaled and turned to blue, green, red as published."""
    torch.manual_seed(1)
    plain = RetinaFace(variant)
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    folded = load_retinaface(variant, plain.state_dict(), "random")
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    rgb = torch.randint(0, 256, (1, 3, 33, 16)).float()
    plain.eval()
    plain.mean, mean = torch.zeros(1), plain.mean
    scaled = (rgb - mean) / plain.std
    with torch.inference_mode():
        expected = plain(scaled.flip(1) if plain.variant.swap_to_bgr else scaled, alone(33, 16))
        for a, b in zip(folded(rgb, alone(33, 16)), expected, strict=True):
            assert (a - b).abs().max() < 1e-4 * b.abs().max()  # float32 products in another order


def test_normalisation():
    assert RetinaFace("mobilenet").mean.flatten().tolist() == [123.0, 117.0, 104.0]
    assert RetinaFace("resnet50").mean.flatten().tolist() == pytest.approx([123.675, 116.28, 103.53])
    assert RetinaFace("resnet50").std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])


@pytest.mark.parametrize("variant", ["mobilenet", "resnet50"])
def test_beside_larger_pictures_every_number_is_the_one_that_a_picture_gives_alone(variant):
    """Odd and even sides, a single pixel, and a network that answers to a black border if it sees one."""
    torch.manual_seed(2)
    network = load_retinaface(variant, RetinaFace(variant).state_dict(), "random")
    rng = np.random.default_rng(3)
    shapes = [(65, 67), (64, 64), (1, 1)]
    images = [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in shapes]
    inside = Inside(shapes)
    with torch.inference_mode():
        together = network(torch.from_numpy(on_canvas(images)).permute(0, 3, 1, 2).float(), inside)
        for i, image in enumerate(images):
            single = network(torch.from_numpy(image)[None].permute(0, 3, 1, 2).float(), alone(*image.shape[:2]))
            counted = inside.anchors()[i] == 1
            for a, b in zip(together, single, strict=True):
                # Convolutions of another batch size sum in another order.
                torch.testing.assert_close(a[i][counted], b[0], atol=1e-4, rtol=1e-4)


def test_batches_join_near_sizes_within_their_bounds():
    rng = np.random.default_rng(0)
    shapes = (
        [(250, 250)] * 40 + [tuple(rng.integers(40, 1100, 2).tolist()) for _ in range(60)] + [(1, 20000), (20000, 1)]
    )
    made = batches(shapes)
    assert sorted(index for batch in made for index in batch) == list(range(len(shapes)))
    for batch in made:
        height, width = (max(shapes[i][axis] for i in batch) for axis in (0, 1))
        padded, own = len(batch) * height * width, sum(shapes[i][0] * shapes[i][1] for i in batch)
        assert len(batch) == 1 or padded <= min(1 << 20, 1.25 * own)
    assert len(made) < 60
    assert batches([(250, 250)] * 33) == [list(range(16)), list(range(16, 32)), [32]]
    assert batches([]) == []


def test_a_batch_of_mixed_sizes_finds_what_single_images_give(mobilenet, monkeypatch):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (size, size + 16, 3), dtype=np.uint8) for size in (48, 64, 49, 51, 48, 63)]
    detector = RetinafaceDetector(mobilenet, 0.45, 40)  # of random weights: some anchors score above a half, some below
    single = [detector.detect([image])[0] for image in images]
    for batch_px in (1 << 20, 2 * 48 * 64):
        monkeypatch.setattr("pipeline_lib.data.faces.detection.retinaface_batches.MAX_BATCH_PX", batch_px)
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


@pytest.mark.parametrize(
    "tensor", ["ClassHead.0.conv1x1.bias", "BboxHead.1.conv1x1.bias", "LandmarkHead.2.conv1x1.weight"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_numbers_that_are_not_finite_are_an_error_and_not_an_empty_picture(state, tensor, value):
    """1e30 is finite, and the sides or points that it is decoded to are not."""
    if value == 1e30 and not tensor.startswith("Bbox"):
        value = float("nan")
    damaged = state | {tensor: torch.full_like(state[tensor], value)}
    detector = RetinafaceDetector(load_retinaface("mobilenet", damaged, "random"), 0.4, 40)
    with pytest.raises(CheckpointError, match="not finite"):
        detector.detect([np.full((70, 90, 3), 60, np.uint8)])


@pytest.mark.parametrize(
    "picture",
    [np.zeros((0, 5, 3), np.uint8), np.zeros((5, 0, 3), np.uint8), np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3))],
)
@pytest.mark.parametrize("kind", ["mmod", "dlib", "retinaface"])
def test_what_is_no_picture_is_refused(mobilenet, picture, kind):
    made = RetinafaceDetector(mobilenet, 0.9, 40) if kind == "retinaface" else make_detector(kind, None, 0.0, 40)
    with pytest.raises(DataError, match="cannot look at this picture"):
        made.detect([np.zeros((5, 5, 3), np.uint8), picture])


@pytest.mark.parametrize("kind", ["mmod", "dlib", "retinaface"])
def test_a_line_of_twenty_thousand_pixels_holds_nobody(mobilenet, kind):
    made = RetinafaceDetector(mobilenet, 0.999, 40) if kind == "retinaface" else make_detector(kind, None, 0.0, 60)
    assert made.detect([np.full((1, 20_000, 3), 90, np.uint8), np.full((20_000, 1, 3), 90, np.uint8)]) == [[], []]


def test_what_is_found_in_a_shrunk_picture_is_scaled_back(mobilenet):
    class Marker(torch.nn.Module):
        """Finds one box of 256 px around the brightest column and row, wherever the picture's size puts it."""

        variant = mobilenet.variant

        def forward(self, rgb, inside):
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


def test_make_detector_reads_the_checkpoint(tmp_path, state):
    torch.save(state, tmp_path / "w.pth")
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

        def forward(self, rgb, inside):
            self.came = rgb.device.type
            raise StopIteration

    recorder = Recorder()
    detector = RetinafaceDetector(recorder, 0.9, 40, "meta")
    with pytest.raises(StopIteration):
        detector.detect([np.zeros((48, 48, 3), np.uint8)])
    assert (recorder.device, recorder.came) == ("meta", "meta")
