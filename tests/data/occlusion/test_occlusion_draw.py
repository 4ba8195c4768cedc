"""What occlusions cover, what they leave alone, and that they can be drawn again."""

import colorsys
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.shards_loops import distance_to_outline, inside_polygon

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.occlusion.draw import draw_occlusion, image_rng, training_kind
from pipeline_lib.data.occlusion.ffp2 import SHAPES, SURFACES, drawn_colour
from pipeline_lib.params.occlude import KINDS, Occlude

TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]])
# The same face in depth, pixels around the point between the eyes: the nose stands out, the eyes lie a little back.
HEAD = np.array([[-17.6, 0, -4], [17.6, 0, -4], [0, 20.1, 14], [-14.6, 40.7, 0], [14.6, 40.7, 0]])
IMAGE = np.random.default_rng(0).integers(0, 256, (112, 112, 3), dtype=np.uint8)
MASKS = [kind for kind in KINDS if kind.startswith("mask")]


@st.composite
def faces(draw):
    """Landmarks of a head turned up to 70 degrees, tilted, nearer or farther, found with an error of up to 1 px."""
    yaw, roll = np.deg2rad(draw(st.integers(-70, 70))), np.deg2rad(draw(st.integers(-15, 15)))
    turned = HEAD @ np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    flat = turned[:, :2] @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]])
    shift = draw(st.tuples(st.integers(-6, 6), st.integers(-4, 4)))
    errors = np.random.default_rng(draw(st.integers(0, 99))).uniform(-1, 1, (5, 2))
    return flat * draw(st.sampled_from([0.85, 1.0, 1.1])) + (56, 51.6) + shift + errors


def solid(drawn, *names):
    return [part["points"] for part in drawn["parts"] if part["part"] in names]


def around(image, point):
    """The 3x3 pixels around a point."""
    x, y = np.rint(point).astype(int)
    return image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]


def draw_kind(kind, landmarks, image_id="someone", image=IMAGE):
    return draw_occlusion(image, landmarks, kind, image_rng(3, image_id, kind), 0.7)


@settings(max_examples=60, deadline=None)
@given(landmarks=faces(), kind=st.sampled_from(MASKS), image_id=st.text(max_size=3))
def test_masks_cover_nose_tip_and_mouth_and_leave_the_eyes(landmarks, kind, image_id):
    occluded, drawn = draw_kind(kind, landmarks, image_id)
    [mask] = solid(drawn, "mask")
    assert inside_polygon(landmarks[2:], mask).all()
    for eye in landmarks[:2]:
        assert np.array_equal(around(occluded, eye), around(IMAGE, eye))


@settings(max_examples=60, deadline=None)
@given(landmarks=faces(), image_id=st.text(max_size=3))
def test_sunglasses_cover_the_eyes_and_leave_the_mouth(landmarks, image_id):
    occluded, drawn = draw_kind("sunglasses", landmarks, image_id)
    lenses = solid(drawn, "lens")
    assert len(lenses) == 2
    for eye in landmarks[:2]:
        assert any(inside_polygon(eye, lens)[0] for lens in lenses)
    for corner in landmarks[3:]:
        assert np.array_equal(around(occluded, corner), around(IMAGE, corner))


@settings(max_examples=20, deadline=None)
@given(landmarks=faces(), kind=st.sampled_from([*MASKS, "sunglasses"]))
def test_no_pixel_outside_the_stored_polygons_is_touched(landmarks, kind):
    occluded, drawn = draw_kind(kind, landmarks)
    outlines = [part["points"] for part in drawn["parts"] if not part["clipped"]]
    touched = np.argwhere((occluded != IMAGE).any(axis=2))[:, ::-1]
    assert len(touched) > 300
    # a pixel's corner lies 0.71 px from its centre; coordinates are rounded to 1/64 px, and OpenCV fills the subpixels
    # (1/4 px) that the outline runs through
    allowed = [inside_polygon(touched, o) | (distance_to_outline(touched, o) < 1.0) for o in outlines]
    assert np.any(allowed, axis=0).all()


@pytest.mark.parametrize("kind", [*MASKS, "sunglasses"])
def test_the_body_is_opaque(kind):
    """Well inside a mask or lens nothing of the photograph shows: a black and a white speck come out alike."""
    body = "lens" if kind == "sunglasses" else "mask"
    _, drawn = draw_kind(kind, TEMPLATE)
    centre = np.mean(solid(drawn, body)[0], axis=0).astype(int)
    grey = np.full((112, 112, 3), 128, np.uint8)
    speck = grey.copy()
    speck[centre[1], centre[0]] = 255
    plain, _ = draw_kind(kind, TEMPLATE, image=grey)
    specked, _ = draw_kind(kind, TEMPLATE, image=speck)
    seen = abs(int(plain[centre[1], centre[0], 0]) - int(specked[centre[1], centre[0], 0]))
    # lenses let through up to 7 % of 127 levels; the speck also changes the estimated light, by under a level
    assert seen <= (10 if body == "lens" else 1)


def test_ffp2_masks_come_in_all_colours():
    """Hues go round the circle, and some are nearly black, white and grey."""
    colours = [drawn_colour(image_rng(3, str(i), "mask_ffp2")) for i in range(300)]
    hues = [colorsys.rgb_to_hsv(*(value / 255 for value in colour)) for colour in colours]
    sixths = {int(6 * hue) % 6 for hue, saturation, _ in hues if saturation > 0.25}
    assert sixths == set(range(6))
    assert {min(2, int(3 * value)) for _, _, value in hues} == {0, 1, 2}


def test_the_same_image_id_gives_the_same_picture_in_any_order():
    ids = [f"image{i}" for i in range(6)]
    forwards = {(i, kind): draw_kind(kind, TEMPLATE, i) for i in ids for kind in KINDS}
    for kind in reversed(KINDS):
        for image_id in reversed(ids):
            picture, drawn = draw_kind(kind, TEMPLATE, image_id)
            assert np.array_equal(picture, forwards[image_id, kind][0])
            assert drawn == forwards[image_id, kind][1]


def test_pictures_differ_between_images_and_seeds_and_the_masks_between_each_other():
    pictures = [draw_kind(kind, TEMPLATE, image_id)[0] for kind in KINDS for image_id in ("a", "b", "c")]
    pictures += [draw_occlusion(IMAGE, TEMPLATE, kind, image_rng(4, "a", kind), 0.7)[0] for kind in KINDS]
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)
    outlines = [solid(draw_kind(kind, TEMPLATE)[1], "mask")[0] for kind in MASKS]
    assert len({str(outline) for outline in outlines}) == len(MASKS)


def test_styles_and_colours_all_occur():
    drawn = [draw_kind(kind, TEMPLATE, str(i))[1] for kind in KINDS for i in range(28)]
    assert {d["style"] for d in drawn if d["kind"] == "sunglasses"} == {"wayfarer", "round", "aviator"}
    assert {d["pattern"] for d in drawn if d["kind"] == "mask_cloth"} == {"plain", "stripes", "dots", "checks"}
    assert {d["valve"] for d in drawn if d["kind"] == "mask_n95"} == {True, False}
    ffp2 = [draw_kind("mask_ffp2", TEMPLATE, str(i))[1] for i in range(60)]
    assert {d["shape"] for d in ffp2} == set(SHAPES)
    assert {d["surface"] for d in ffp2} == set(SURFACES)
    for kind in MASKS:
        colours = {tuple(p["colour"]) for d in drawn if d["kind"] == kind for p in d["parts"] if p["part"] == "mask"}
        assert len(colours) > 15


@pytest.mark.parametrize("kind", KINDS)
def test_the_input_stays_and_what_was_drawn_is_json(kind):
    before = IMAGE.copy()
    picture, drawn = draw_kind(kind, TEMPLATE)
    assert np.array_equal(IMAGE, before)
    assert (picture.shape, picture.dtype) == (IMAGE.shape, np.uint8)
    assert drawn["kind"] == kind
    assert json.loads(json.dumps(drawn, allow_nan=False)) == drawn


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 56.0),
        np.zeros((5, 2)),
        TEMPLATE[::-1],
        TEMPLATE * (-1, 1) + (112, 0),
        TEMPLATE + 500,
        TEMPLATE * 30,
        TEMPLATE * (0.0, 1.0),
        TEMPLATE * (1.0, 0.0),
    ],
)
def test_landmarks_that_no_face_has_do_not_crash(kind, landmarks):
    picture, _ = draw_kind(kind, landmarks)
    assert picture.shape == IMAGE.shape


def test_a_dark_and_a_bright_photograph_get_a_dark_and_a_bright_mask():
    brightness = []
    for level in (40, 110, 180):
        photograph = np.full((112, 112, 3), level, np.uint8)
        picture, drawn = draw_kind("mask_surgical", TEMPLATE, image=photograph)
        x, y = np.mean(solid(drawn, "mask")[0], axis=0).astype(int)
        brightness.append(float(picture[y - 8 : y + 8, x - 8 : x + 8].mean()))
    assert brightness[0] + 20 < brightness[1] < brightness[2]


@pytest.mark.parametrize("kind", MASKS)
def test_a_grey_photograph_stays_grey(kind):
    grey = np.repeat(IMAGE[:, :, :1], 3, axis=2)
    for image_id in "abcd":
        picture, _ = draw_kind(kind, TEMPLATE, image_id, image=grey)
        assert int(np.ptp(picture.astype(int), axis=2).max()) <= 1  # rounding of each channel by itself


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 2)), np.full((5, 2), np.nan), np.where(np.eye(5, 2), np.inf, 0), np.zeros(10)]
)
def test_wrong_landmarks_are_refused(wrong):
    for kind in (*MASKS, "sunglasses"):
        with pytest.raises(DataError, match="five finite points"):
            draw_kind(kind, wrong)


def test_unknown_kinds_are_refused_and_the_params_allow_the_known():
    with pytest.raises(ParamsError, match=r"scarf[\s\S]*mask_surgical"):
        draw_kind("scarf", TEMPLATE)
    settings = {"max_query_images": None, "train_share": 0.2, "crop_share": 0.7, "seed": 3}
    assert tuple(Occlude(kinds=list(KINDS), **settings).kinds) == KINDS


def test_training_kinds_follow_the_share_and_the_larger_share_keeps_the_smaller():
    ids = [f"image{i}" for i in range(4000)]
    few = [training_kind(3, i, list(KINDS), 0.2) for i in ids]
    more = [training_kind(3, i, list(KINDS), 0.5) for i in ids]
    share = np.mean([kind is not None for kind in few])
    assert abs(share - 0.2) < 0.025  # four standard deviations, sqrt(0.2 * 0.8 / 4000) = 0.0063 each
    assert all(b == a for a, b in zip(few, more, strict=True) if a is not None)
    counts = [few.count(kind) for kind in KINDS]
    assert min(counts) > 800 / len(KINDS) - 4 * 12  # about 133 each, standard deviation under 12
    assert [training_kind(4, i, list(KINDS), 0.2) for i in ids] != few
    assert all(training_kind(3, i, list(KINDS), 0.0) is None for i in ids)
    assert all(training_kind(3, i, list(KINDS), 1.0) is not None for i in ids)
    assert training_kind(3, "a", [], 1.0) is None
