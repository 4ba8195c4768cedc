"""dlib's convolutional detector in PyTorch, held against dlib itself."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch
from oracles.nms import iou

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.data.faces.detection import mmod, mmod_network, mmod_pyramid
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.faces.detection.face import Image
from pipeline_lib.data.faces.detection.mmod import MmodDetector, search
from pipeline_lib.data.faces.detection.mmod_network import MmodNetwork, load_mmod, num_cells
from pipeline_lib.data.faces.detection.mmod_pyramid import lay_out
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo

Found = list[tuple[list[float], float]]


@pytest.fixture(scope="module")
def network() -> MmodNetwork:
    return load_mmod()


@pytest.fixture(scope="module")
def theirs() -> Callable[[Image], Found]:
    """dlib's boxes, as ours are counted, and scores."""
    model = dlib.cnn_face_detection_model_v1(str(package_file(mmod_network.FILE)))

    def find(image: Image) -> Found:
        found = [(one.rect, one.confidence) for one in model(image, 0)]
        return [([box.left(), box.top(), box.right() + 1, box.bottom() + 1], score) for box, score in found]

    return find


def ours(network: MmodNetwork, image: Image) -> Found:
    ((boxes, scores),) = search(network, [image], 0.0)
    return list(zip(boxes.tolist(), scores.tolist(), strict=True))


def rendered(seed: int, size_px: int = 160) -> Image:
    rng = np.random.default_rng(seed)
    return render_photo([sample_identity(rng)], rng, size_px)[0]


def assert_same(found: Found, expected: Found) -> None:
    """As many faces, of the same boxes to a pixel's rounding, and scores to float16's in the smaller sizes."""
    assert len(found) == len(expected)
    for box, score in expected:
        overlap, other = max((iou(box, one), value) for one, value in found)
        assert overlap >= 0.95
        assert other == pytest.approx(score, abs=5e-4)


def test_faces_are_dlibs_on_made_pictures(network: MmodNetwork, theirs: Callable) -> None:
    """A large face, one at the edge, two in one picture, a narrow and a low picture, none."""
    large, face, two = rendered(0, 450), rendered(0, 220), np.concatenate([rendered(1, 220), rendered(2, 220)], axis=1)
    noise = np.random.default_rng(0).integers(0, 256, (90, 260, 3), dtype=np.uint8)
    pictures = [large, face[:, 50:], two, face[:, 40:180], face[30:190], noise, np.full((120, 90, 3), 127, np.uint8)]
    expected = [theirs(picture) for picture in pictures]
    assert [len(faces) for faces in expected[:3]] == [1, 1, 2]
    for picture, faces in zip(pictures, expected, strict=True):
        assert_same(ours(network, picture), faces)


@pytest.mark.faces
def test_faces_are_dlibs_on_photographs(network: MmodNetwork, theirs: Callable, faces_dir: Path) -> None:
    """Groups, single faces, none; and of CFP faces from the front and from the side."""
    cfp = faces_dir / "cfp" / "Data" / "Images"
    photos = [faces_dir / "detect" / "dlib_faces" / name for name in ("2008_001322.jpg", "2008_002506.jpg")]
    photos += [faces_dir / "detect" / "office" / "office5.jpg"]
    photos += [cfp / f"{number:03}" / kind / "01.jpg" for number in range(1, 6) for kind in ("frontal", "profile")]
    expected = []
    for photo in photos:
        image = decode_photo(photo.read_bytes(), 50_000_000)
        if image.shape[0] * image.shape[1] > 200_000:  # dlib takes 6 s a megapixel
            image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        expected.append(theirs(image))
        assert_same(ours(network, image), expected[-1])
    assert sum(map(len, expected)) >= 14


@pytest.mark.parametrize("min_face_px", [20, 40, 80, 200])
def test_what_is_found_lies_where_it_is_in_the_photograph(min_face_px: int) -> None:
    """Faces of about 1.2 times what counts: box and eyes are those of the drawn face, whatever is enlarged or shrunk."""
    photo = rendered(3, 250)
    ((face,),) = make_detector("mmod", None, 0.0, 80).detect([photo])
    scale = 1.2 * min_face_px / float(face.box[2] - face.box[0])
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    ((found,),) = make_detector("mmod", None, 0.0, min_face_px).detect([small])
    assert iou((face.box * scale).tolist(), found.box.tolist()) > 0.6  # sizes go in steps of a fifth, places of a tenth
    error = np.abs(found.landmarks - ((face.landmarks + 0.5) * scale - 0.5)).max()
    assert error < 0.05 * 1.2 * min_face_px
    assert float(found.box[2] - found.box[0]) >= min_face_px * 0.999


def test_the_search_follows_the_smallest_face_that_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window is 80 px: a photograph is enlarged where a smaller face counts, and shrunk only where larger ones alone do."""
    searched = []
    monkeypatch.setattr(
        mmod,
        "search",
        lambda network, images, score, device: (
            searched.append(images[0].shape[:2]) or [(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))]
        ),
    )
    for min_face_px in (20, 30, 40, 80, 100, 160, 1000):
        MmodDetector(0.0, min_face_px).detect([np.zeros((30, 4032, 3), np.uint8)])
    assert searched == [(120, 16128), (80, 10752), (60, 8064), (30, 4032), (24, 3226), (15, 2016), (9, 1200)]


def test_a_large_photograph_is_searched_in_pieces_without_seams(
    network: MmodNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = np.full((300, 700, 3), 90, np.uint8)
    photo[20:270, 10:260], photo[40:290, 430:680] = rendered(4, 250), rendered(5, 250)
    whole = search(network, [photo], -1.0)
    monkeypatch.setattr(mmod_pyramid, "PIECE_CELLS", 7)
    in_pieces = search(network, [photo], -1.0)
    for expected, found in zip(whole[0], in_pieces[0], strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)  # sums in another order
    assert (whole[0][1] > 0).sum() == 2


def test_a_batch_of_mixed_sizes_finds_what_single_pictures_give() -> None:
    detector = make_detector("mmod", None, 0.0, 80)
    photos = [rendered(seed, size) for seed, size in enumerate((200, 220, 200, 200, 240))]
    together = detector.detect(photos)
    assert [len(faces) for faces in together] == [1] * 5
    for photo, (face,) in zip(photos, together, strict=True):
        ((alone,),) = detector.detect([photo])
        np.testing.assert_array_equal(face.box, alone.box)
        np.testing.assert_array_equal(face.landmarks, alone.landmarks)
        assert face.score == pytest.approx(alone.score, abs=1e-5)


def test_threads_that_share_a_detector_find_what_one_finds() -> None:
    detector = make_detector("mmod", None, 0.0, 80)
    photos = [rendered(seed, 220) for seed in range(4)]
    alone = [face.landmarks for (face,) in (detector.detect([photo])[0] for photo in photos)]
    jobs = [*range(len(photos))] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: detector.detect([photos[job]]), jobs))
    for job, faces in zip(jobs, found, strict=True):
        ((face,),) = faces
        np.testing.assert_array_equal(face.landmarks, alone[job])


def test_nothing_in_nothing() -> None:
    detector = make_detector("mmod", None, 0.0, 40)
    noise = np.random.default_rng(0).integers(0, 256, (120, 90, 3), dtype=np.uint8)
    pictures = [np.zeros((1, 1, 3), np.uint8), np.zeros((3, 2, 3), np.uint8), noise, np.zeros((5, 3000, 3), np.uint8)]
    assert detector.detect([*pictures, np.full((200, 200, 3), 127, np.uint8)]) == [[], [], [], [], []]
    assert detector.detect([]) == []


def test_a_view_that_is_not_contiguous_is_taken() -> None:
    photo = rendered(0, 200)
    for min_face_px in (70, 80):
        detector = make_detector("mmod", None, 0.0, min_face_px)
        ((mirrored,),), ((copied,),) = detector.detect([photo[:, ::-1]]), detector.detect([photo[:, ::-1].copy()])
        np.testing.assert_array_equal(mirrored.landmarks, copied.landmarks)


def test_a_higher_score_finds_fewer() -> None:
    photo = rendered(0, 220)
    ((face,),) = make_detector("mmod", None, 0.0, 80).detect([photo])
    assert make_detector("mmod", None, face.score + 1e-3, 80).detect([photo]) == [[]]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 900), (900, 5), (28, 40), (250, 250), (97, 331)])
def test_places_lie_apart_on_the_canvas(height: int, width: int) -> None:
    """No pixel belongs to two, eleven around are free, sizes fall by sixths."""
    canvas = lay_out(height, width)
    taken = np.zeros((canvas.height, canvas.width), np.int64)
    for place in canvas.places:
        taken[place.top : place.top + place.height, place.left : place.left + place.width] += 1
        assert place.top >= 11
        assert place.left >= 11
        assert place.top + place.height + 11 <= canvas.height
        assert place.left + place.width + 11 <= canvas.width
    assert taken.max() == 1
    assert (canvas.places[0].height, canvas.places[0].width) == (height, width)
    assert all(b.height == a.height * 5 // 6 for a, b in zip(canvas.places, canvas.places[1:], strict=False))


@pytest.mark.parametrize("side", [0, 28, 29, 36, 37, 100])
def test_cells_of_a_side(network: MmodNetwork, side: int) -> None:
    expected = network(torch.zeros(1, 3, side, 45)).shape[1] if side >= 29 else 0
    assert num_cells(side) == expected


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = package_file(mmod_network.FILE).read_bytes()
    for name, other in (("cut", content[:-1]), ("changed", content[:-1] + b"\x01"), ("empty", b"")):
        (tmp_path / name).write_bytes(other)
        monkeypatch.setattr(mmod_network, "package_file", lambda _, name=name: tmp_path / name)
        with pytest.raises(CheckpointError, match=f"(?s)another one than the dlib network.*{len(other)} bytes"):
            make_detector("mmod", None, 0.0, 80)


def test_without_the_packages_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dlib", None)
    with pytest.raises(ParamsError, match="pip install dlib-bin"):
        make_detector("mmod", None, 0.0, 80)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match="pip install face_recognition_models"):
        make_detector("mmod", None, 0.0, 80)
