"""A user's own template: where it lies on a face, and which files are refused."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.occlusion.draw import draw_occlusions
from pipeline_lib.data.occlusion.frame import face_frame
from pipeline_lib.data.occlusion.template import (
    ANCHORS,
    LOOSE,
    bend,
    draw_template,
    face_points,
    load_template,
    load_templates,
)

LANDMARKS = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
TURN = np.array([[0, 0], [-8, 0], [14, 0], [4, 0], [-2, 0]])
IMAGE = np.full((112, 112, 3), 150, np.uint8)
ANCHORS_PX = {"bridge": [200, 40], "left_cheek": [30, 80], "right_cheek": [370, 80], "chin": [200, 290]}


def write_template(
    folder: Path, name: str = "own", size: tuple[int, int] = (300, 400), anchors: object = ANCHORS_PX, alpha: int = 255
) -> Path:
    """Transparent, a blob of another colour at each anchor of ANCHORS_PX."""
    picture = np.zeros((*size, 4), np.uint8)
    for number, (x, y) in enumerate(ANCHORS_PX.values()):
        cv2.circle(picture, (x, y), 14, (40 * number, 60, 250 - 50 * number, alpha), -1)
    cv2.imwrite(str(folder / f"{name}.png"), picture)
    (folder / f"{name}.json").write_text(json.dumps({"anchors": anchors}))
    return folder / name


def test_each_anchor_lies_on_the_face_s_point(tmp_path):
    template = load_template(write_template(tmp_path))
    frame = face_frame(LANDMARKS)
    picture, drawn = draw_template(IMAGE, LANDMARKS, template, np.random.default_rng(1))
    assert drawn["anchors"] == list(ANCHORS_PX)
    (part,) = drawn["parts"]
    targets = face_points(frame, LANDMARKS, list(ANCHORS_PX))
    assert np.abs(np.array(part["points"]) - targets).max() <= LOOSE * frame.scale_px + 0.01
    changed = (picture != IMAGE).any(axis=2)
    seen = [(x, y) for x, y in part["points"] if 8 < x < 104 and 8 < y < 104]  # the chin is below the picture's edge
    assert len(seen) == 3
    for x, y in seen:
        # The blob's middle lies where the anchor does, to a pixel: it is the mean of what changed around it.
        rows, columns = np.nonzero(changed & (np.hypot(*(np.mgrid[:112, :112] - np.array([y, x])[:, None, None])) < 9))
        assert len(rows) > 9
        assert np.hypot(rows.mean() - y, columns.mean() - x) < 1.0
    assert not changed[:20].any()


def test_all_anchor_names_are_points_of_any_face():
    for turned in (LANDMARKS, LANDMARKS + TURN, np.full((5, 2), 50.0)):
        points = face_points(face_frame(turned), turned, ANCHORS)
        assert points.shape == (len(ANCHORS), 2)
        assert np.isfinite(points).all()


def test_the_bend_takes_sources_to_targets_and_an_affine_map_stays_affine():
    rng = np.random.default_rng(3)
    sources, targets = rng.uniform(0, 100, (7, 2)), rng.uniform(0, 400, (7, 2))
    np.testing.assert_allclose(bend(sources, targets)(sources), targets, atol=1e-6)
    matrix, shift = np.array([[2.0, 0.3], [-0.4, 1.5]]), np.array([3.0, -7.0])
    elsewhere = rng.uniform(-50, 200, (20, 2))
    affine = bend(sources, sources @ matrix + shift)
    np.testing.assert_allclose(affine(elsewhere), elsewhere @ matrix + shift, atol=1e-6)
    three = bend(sources[:3], targets[:3])
    np.testing.assert_allclose(
        (three(elsewhere[:1]) + three(elsewhere[1:2])) / 2, three(elsewhere[:2].mean(axis=0)[None])
    )


@pytest.mark.parametrize("landmarks", [np.full((5, 2), 56.0), np.zeros((5, 2)), LANDMARKS[::-1], LANDMARKS * 30])
def test_landmarks_that_no_face_has_do_not_crash(tmp_path, landmarks):
    anchors = {"left_eye": [30, 80], "right_eye": [370, 80], "nose": [200, 150], "chin": [200, 290]}
    template = load_template(write_template(tmp_path, anchors=anchors))
    picture, _ = draw_template(IMAGE, landmarks, template, np.random.default_rng(1))
    assert picture.shape == IMAGE.shape


def test_it_is_a_kind_that_combines_and_is_drawn_alike_each_time(tmp_path):
    write_template(tmp_path)
    templates = load_templates(tmp_path, ["template_own+sunglasses", "mask_cloth"])
    assert list(templates) == ["template_own"]
    kind = "template_own+sunglasses"
    first, again, other = (
        draw_occlusions(IMAGE, LANDMARKS, kind, 3, who, 0.7, templates) for who in ("a", "a", "b")
    )  # fmt: skip
    np.testing.assert_array_equal(first.image, again.image)
    assert (first.image != other.image).any()
    assert [one["kind"] for one in first.drawn["each"]] == kind.split("+")
    assert json.loads(json.dumps(first.drawn, allow_nan=False)) == first.drawn


def test_a_grey_photograph_stays_grey_and_a_dark_one_gets_it_darker(tmp_path):
    template = load_template(write_template(tmp_path))
    bright, dark = (
        draw_template(np.full_like(IMAGE, level), LANDMARKS, template, np.random.default_rng(1))[0]
        for level in (170, 40)
    )
    assert int(np.ptp(bright.astype(int), axis=2).max()) <= 1
    changed = (bright != 170).any(axis=2) & (dark != 40).any(axis=2)
    assert dark[changed].mean() < 0.7 * bright[changed].mean()


def test_a_half_transparent_part_lets_the_face_through(tmp_path):
    stem = write_template(tmp_path)
    picture = cv2.imread(str(stem.with_suffix(".png")), cv2.IMREAD_UNCHANGED)
    picture[:] = (0, 0, 0, 128)
    picture[:5, :5, 3] = 255
    cv2.imwrite(str(stem.with_suffix(".png")), picture)
    drawn, _ = draw_template(IMAGE, LANDMARKS, load_template(stem), np.random.default_rng(1))
    assert abs(int(drawn[75, 56, 0]) - round(150 * (1 - 128 / 255))) <= 1


@pytest.mark.parametrize(
    ("anchors", "message"),
    [
        ({"chin": [1, 2], "bridge": [3, 4]}, "anchors: Dictionary should have at least 3"),
        ({**ANCHORS_PX, "beard": [5, 5]}, r"no point of a face[\s\S]*beard[\s\S]*left_eye"),
        ({**ANCHORS_PX, "nose": [500, 5]}, r"outside its picture[\s\S]*400 x 300"),
        ({**ANCHORS_PX, "nose": [float("nan"), 5]}, "outside its picture"),
        ({"chin": [9, 9], "bridge": [50, 50], "nose": [90, 90.5]}, "in one line"),
        ({"chin": "here", "bridge": [50, 50], "nose": [90, 9]}, "anchors.chin"),
        ([], "valid dictionary"),
    ],
)
def test_wrong_anchors_are_refused_by_name(tmp_path, anchors, message):
    stem = write_template(tmp_path, anchors=anchors)
    with pytest.raises((DataError, ParamsError), match=rf"{message}[\s\S]*own\.json"):
        load_template(stem)


def test_wrong_files_are_refused_by_name(tmp_path):
    stem = write_template(tmp_path)
    picture, about = stem.with_suffix(".png"), stem.with_suffix(".json")
    whole = picture.read_bytes()
    bomb = cv2.imencode(".png", np.zeros((2100, 2000), np.uint8))[1].tobytes()  # 4.2 million pixels in a few kB
    for data, message in (
        (b"", "no bytes"),
        (whole[:200], "end early"),
        (b"text", "none of the formats"),
        (bomb, "are more than"),
    ):
        picture.write_bytes(data)
        with pytest.raises(DataError, match=rf"{message}[\s\S]*own\.png"):
            load_template(stem)
    write_template(tmp_path, alpha=254)
    with pytest.raises(DataError, match=r"no opaque pixel[\s\S]*own\.png"):
        load_template(stem)
    write_template(tmp_path)
    for text, message in (("{", "not JSON"), ('{"anchor": {}}', "anchor"), (" " * 200_000, "too many bytes")):
        about.write_text(text)
        with pytest.raises((DataError, ParamsError), match=rf"{message}[\s\S]*own\.json"):
            load_template(stem)
    about.unlink()
    with pytest.raises(DataError, match=r"missing[\s\S]*own\.json"):
        load_template(stem)
    picture.unlink()
    with pytest.raises(DataError, match=r"cannot be used[\s\S]*own\.png"):
        load_template(stem)
