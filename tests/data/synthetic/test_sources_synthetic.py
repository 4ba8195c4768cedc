"""The demo's renderer: the same seed gives the same bytes, faces are found where the truth says, identities are no gift."""

import importlib.util
from dataclasses import fields
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources import synthetic
from pipeline_lib.data.sources.synthetic import identity_vector, render_image
from pipeline_lib.data.synthetic.geometry import make_chart, meet_rays, rotation, skull_radius, surface_normals
from pipeline_lib.data.synthetic.identity import NUM_PARAMETERS, Person, make_person, marks_rng, sample_identity
from pipeline_lib.data.synthetic.render import TrueFace, render_photo
from pipeline_lib.params.ingest import Synthetic
from pipeline_lib.schemas.truth import TRUTH


def make_params(**changes: object) -> Synthetic:
    """Small params with single faces only, unless changed."""
    values: dict[str, object] = {
        "num_identities": 3,
        "images_per_identity": 2,
        "size_px": 128,
        "two_faces_share": 0.0,
        "no_face_share": 0.0,
        "seed": 7,
    }
    return Synthetic.model_validate(values | changes)


@pytest.fixture(scope="module")
def singles() -> list[tuple[int, npt.NDArray[np.uint8], TrueFace]]:
    """60 single faces, 15 people x 4 photographs at the demo's size, as decoded from their JPEG."""
    params = make_params(num_identities=15, images_per_identity=4, size_px=250)
    photos = []
    for identity in range(params.num_identities):
        for image in range(params.images_per_identity):
            picture, faces = render_image(params, identity, image)
            data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1]
            photos.append((identity, np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]), faces[0]))
    return photos


def test_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    """Twice the same params, file by file, the truth table included."""
    params = make_params(two_faces_share=0.3, no_face_share=0.2)
    first, second = synthetic.make(params, tmp_path / "a"), synthetic.make(params, tmp_path / "b")
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(names) == 7  # six photographs and truth.parquet
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert [photo.image_id for photo in first.photos] == [photo.image_id for photo in second.photos]


def test_another_seed_gives_other_people_and_pictures() -> None:
    assert not np.array_equal(identity_vector(7, 0), identity_vector(8, 0))
    assert not np.array_equal(identity_vector(7, 0), identity_vector(7, 1))
    assert not np.array_equal(render_image(make_params(), 0, 0)[0], render_image(make_params(seed=8), 0, 0)[0])
    assert not np.array_equal(render_image(make_params(), 0, 0)[0], render_image(make_params(), 0, 1)[0])
    assert identity_vector(-1, 0).shape == (NUM_PARAMETERS,)


def test_an_image_does_not_depend_on_how_many_others_there_are(tmp_path: Path) -> None:
    few = synthetic.make(make_params(num_identities=2, images_per_identity=1), tmp_path / "few")
    many = synthetic.make(make_params(num_identities=3, images_per_identity=2), tmp_path / "many")
    by_id = {photo.image_id: photo for photo in many.photos}
    for photo in few.photos:
        assert Path(photo.path).read_bytes() == Path(by_id[photo.image_id].path).read_bytes()
        assert photo.landmarks == by_id[photo.image_id].landmarks


def test_records_name_files_that_are_there(tmp_path: Path) -> None:
    faces = synthetic.make(make_params(), tmp_path / "photos")
    assert len(faces.photos) == 6 == len({photo.image_id for photo in faces.photos})
    assert faces.all_names == {"person-0000", "person-0001", "person-0002"}
    assert faces.pairs == []
    for photo in faces.photos:
        assert Path(photo.path).parent == tmp_path / "photos" / photo.identity
        assert photo.split is None
        assert photo.media == photo.image_id
        assert cv2.imread(photo.path).shape == (128, 128, 3)
        assert photo.landmarks is not None
        assert len(photo.landmarks) == 10


def test_rendering_replaces_what_an_earlier_run_left(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "old.jpg").write_bytes(b"old")
    synthetic.make(make_params(num_identities=1, images_per_identity=1), tmp_path / "photos")
    assert not (tmp_path / "photos" / "old.jpg").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_shares_of_two_faces_and_none(tmp_path: Path) -> None:
    params = make_params(num_identities=8, images_per_identity=10, size_px=96, two_faces_share=0.25, no_face_share=0.2)
    faces = synthetic.make(params, tmp_path / "photos")
    truth = read_table(tmp_path / "photos" / "truth.parquet", TRUTH).to_pylist()
    counts = {photo.image_id: 0 for photo in faces.photos}
    for row in truth:
        assert row["face_index"] == counts[row["image_id"]]
        counts[row["image_id"]] += 1
    two, none = sum(n == 2 for n in counts.values()), sum(n == 0 for n in counts.values())
    # Binomial (80, p): 20 ± 3.9 and 16 ± 3.6; three deviations either side.
    assert 8 <= two <= 32
    assert 5 <= none <= 27
    rows = {(row["image_id"], row["face_index"]): row for row in truth}
    for photo in faces.photos:
        if counts[photo.image_id] == 1:
            assert photo.landmarks == rows[photo.image_id, 0]["landmarks"]
        else:
            assert photo.landmarks is None
        if counts[photo.image_id] == 2:
            left, right = rows[photo.image_id, 0]["box"], rows[photo.image_id, 1]["box"]
            assert left[0] + left[2] < right[0] + right[2]  # counted from the left


def test_all_pictures_can_hold_two_faces_or_none() -> None:
    for image in range(3):
        assert len(render_image(make_params(two_faces_share=1.0), 0, image)[1]) == 2
        assert len(render_image(make_params(no_face_share=1.0), 0, image)[1]) == 0


def test_shares_above_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two_faces_share"):
        make_params(two_faces_share=0.7, no_face_share=0.4)
    assert not (tmp_path / "photos").exists()


def test_landmarks_lie_in_their_order_inside_the_box(
    singles: list[tuple[int, npt.NDArray[np.uint8], TrueFace]],
) -> None:
    for _, picture, face in singles:
        left_eye, right_eye, nose, left_mouth, right_mouth = face.landmarks
        x0, y0, x1, y1 = face.box
        assert np.all(face.landmarks >= (x0, y0))
        assert np.all(face.landmarks <= (x1, y1))
        assert x0 >= 0
        assert y0 >= 0
        assert x1 <= picture.shape[1]
        assert y1 <= picture.shape[0]
        assert left_eye[0] < right_eye[0]
        assert left_mouth[0] < right_mouth[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])


@pytest.fixture(scope="module")
def predicted(singles: list[tuple[int, npt.NDArray[np.uint8], TrueFace]]) -> list[list[npt.NDArray[np.float32]]]:
    """The five points dlib sees in each photograph, a list of (5, 2) a photograph, one a detected face."""
    import dlib

    package = importlib.util.find_spec("face_recognition_models")
    assert package is not None
    assert package.submodule_search_locations is not None
    model = Path(package.submodule_search_locations[0]) / "models" / "shape_predictor_68_face_landmarks.dat"
    detector, predictor = dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model))
    found = []
    for _, picture, _ in singles:
        shapes = [predictor(picture, box).parts() for box in detector(picture, 0)]
        points = [np.array([[point.x, point.y] for point in shape], np.float32) for shape in shapes]
        found.append([np.stack([p[36:42].mean(0), p[42:48].mean(0), p[30], p[48], p[54]]) for p in points])
    return found


def test_dlib_finds_the_single_faces(predicted: list[list[npt.NDArray[np.float32]]]) -> None:
    """The issue asks for 95 %; 98.7 % of 400 were found."""
    assert np.mean([len(points) >= 1 for points in predicted]) >= 0.95
    assert np.mean([len(points) > 1 for points in predicted]) <= 0.02


def test_dlib_sees_the_features_where_they_are(
    singles: list[tuple[int, npt.NDArray[np.uint8], TrueFace]], predicted: list[list[npt.NDArray[np.float32]]]
) -> None:
    """Median distance below 6 % of the distance between the eyes (4.3 % among 400): painted eyes and mouths look like such."""
    errors = [
        np.linalg.norm(points[0] - face.landmarks, axis=1) / np.linalg.norm(face.landmarks[1] - face.landmarks[0])
        for (_, _, face), points in zip(singles, predicted, strict=True)
        if points
    ]
    assert np.median(errors) < 0.06


def test_raw_pixels_tell_people_apart_but_badly(singles: list[tuple[int, npt.NDArray[np.uint8], TrueFace]]) -> None:
    """Area under the ROC of the mean-free pixel cosine of aligned faces: 0.77 among 400; light and pose must cost it a lot."""
    vectors, people = [], np.array([identity for identity, _, _ in singles])
    for _, picture, face in singles:
        matrix, _ = cv2.estimateAffinePartial2D(face.landmarks, TEMPLATE, method=cv2.LMEDS)
        pixels = cv2.warpAffine(picture, matrix, (112, 112)).astype(np.float32).ravel()
        pixels -= pixels.mean()
        vectors.append(pixels / np.linalg.norm(pixels))
    cosine = np.stack(vectors) @ np.stack(vectors).T
    rows, columns = np.triu_indices(len(people), 1)
    genuine = people[rows] == people[columns]
    scores = cosine[rows, columns]
    area = np.mean(scores[genuine][:, None] > scores[~genuine][None, :])
    assert 0.55 < area < 0.9


def test_marks_stay_where_they_are() -> None:
    """A person's moles do not depend on the picture: the generator is the vector's."""
    identity = sample_identity(np.random.default_rng(1))
    assert marks_rng(identity).random() == marks_rng(identity.copy()).random()
    other = identity.copy()
    other[0] = np.float32(1) - other[0]
    assert marks_rng(identity).random() != marks_rng(other).random()


def test_rendering_leaves_the_remembered_person_alone() -> None:
    """The subject is cached between photographs; painting must not reach it."""
    identity = sample_identity(np.random.default_rng(2))
    first = render_photo([identity], np.random.default_rng(3), 128)[0]
    render_photo([identity], np.random.default_rng(4), 128)
    assert np.array_equal(first, render_photo([identity], np.random.default_rng(3), 128)[0])


def test_identity_vectors_are_checked() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="values"):
        make_person(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="0, 1"):
        make_person(np.full(NUM_PARAMETERS, 1.5, np.float32))
    with pytest.raises(ValueError, match="0, 1"):
        make_person(np.full(NUM_PARAMETERS, np.nan, np.float32))
    with pytest.raises(ValueError, match="two people"):
        render_photo([sample_identity(rng)] * 3, rng, 128)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_extreme_people_render(value: float) -> None:
    """The corners of the parameter space: no warning (an error in the test run), a picture with contrast."""
    picture, faces = render_photo([np.full(NUM_PARAMETERS, value, np.float32)], np.random.default_rng(5), 128)
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 10
    assert np.all(np.isfinite(faces[0].landmarks))


@pytest.mark.parametrize("name", [entry.name for entry in fields(Person)])
def test_every_parameter_shows_in_some_face(name: str) -> None:
    """No entry of the vector is dead: from one end to the other it changes a picture of a man, a woman, young or old.

    The skin's pattern hangs on the whole vector, so people are compared with the pattern held fixed.
    """
    index = [entry.name for entry in fields(Person)].index(name)
    assert any(_shows(index, base) for base in range(6))


def _shows(index: int, base: int) -> bool:
    vector = sample_identity(np.random.default_rng([99, base]))
    low, high = vector.copy(), vector.copy()
    low[index], high[index] = 0.0, 1.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline_lib.data.synthetic.subject.marks_rng", lambda _: np.random.default_rng(0))
        pictures = [render_photo([v], np.random.default_rng(6), 96)[0].astype(np.float32) for v in (low, high)]
    # Grey levels; the sensor's noise is the same in both pictures, so any larger difference is the parameter's.
    return float(np.abs(pictures[0] - pictures[1]).max()) > 8


def test_rays_meet_a_sphere_where_geometry_says() -> None:
    """A unit-slope check of the ray walk: on r(y) = √(1 - y²) the depth at (x, y) is √(1 - x² - y²), for any turn."""
    chart = make_chart(120)
    height = np.sqrt(np.clip(1 - chart.y.astype(np.float64) ** 2, 0, None)).astype(np.float32)
    radius = np.repeat(height[:, None], len(chart.s), axis=1)
    x, y = np.meshgrid(np.linspace(-0.6, 0.6, 40, dtype=np.float32), np.linspace(-0.6, 0.6, 40, dtype=np.float32))
    turn = rotation(0.3, -0.1, 0.15)
    u, v, nearest = meet_rays(chart, radius, turn, x, y)
    camera = np.stack([x, y, np.sqrt(1 - x**2 - y**2)], axis=-1)
    head = camera @ turn  # the inverse of a rotation is its transpose
    # A tenth of a chart pixel: what bilinear lookup of the curved radius leaves.
    assert np.abs(chart.y[0] + v / 120 - head[..., 1]).max() < 0.1 / 12
    assert np.abs(chart.s[0] + u / 120 - 0.75 * np.arctan2(head[..., 0], head[..., 2])).max() < 0.1 / 12
    assert nearest.max() < 0.01
    outside = meet_rays(chart, radius, turn, x + np.float32(2), y)[2]
    assert outside.min() > 0.2


def test_normals_of_a_sphere_point_outward() -> None:
    chart = make_chart(120)
    height = np.sqrt(np.clip(1 - chart.y.astype(np.float64) ** 2, 0, None)).astype(np.float32)
    normals = surface_normals(chart, np.repeat(height[:, None], len(chart.s), axis=1))
    inner = np.abs(chart.y) < 0.8
    phi = chart.s[None, :] / np.float32(0.75)
    expected = np.stack(
        [height[:, None] * np.sin(phi), np.broadcast_to(chart.y[:, None], chart.shape), height[:, None] * np.cos(phi)],
        axis=-1,
    )
    # Central differences of a curve whose third derivative grows toward the poles.
    assert np.abs(normals - expected)[inner][:, 2:-2].max() < 0.01


def test_skull_is_empty_above_the_crown_and_below_the_chin() -> None:
    person = make_person(np.full(NUM_PARAMETERS, 0.5, np.float32))
    chart = make_chart(80)
    radius = skull_radius(chart, person, 0.0, side=0.0, top=0.0)
    assert np.all(radius[(chart.y > person.chin) | (chart.y < -person.crown)] == 0)
    middle = radius[np.argmin(np.abs(chart.y))]
    assert middle[len(chart.s) // 2] == pytest.approx(
        person.head_depth, rel=0.03
    )  # the slice at the eyes, less the taper
