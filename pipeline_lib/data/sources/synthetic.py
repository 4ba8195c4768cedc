"""The demo's source: photographs of people who do not exist, rendered from a seed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.sources.shared.records import PhotoRecord, SourceFaces, as_photos, make_image_id
from pipeline_lib.data.synthetic.identity import Vector, sample_identity
from pipeline_lib.data.synthetic.render import TrueFace, render_photo
from pipeline_lib.data.synthetic.scene import Picture
from pipeline_lib.params.ingest import Synthetic as Settings
from pipeline_lib.schemas.truth import TRUTH

JPEG_QUALITY = 92
# The kinds of random streams; with the seed and the numbers of identity and image they name each stream.
IDENTITY_STREAM, IMAGE_STREAM = 0, 1


def make(settings: Settings, folder: Path) -> SourceFaces:
    """Render `num_identities` x `images_per_identity` JPEG photographs into `folder`, which is replaced if it exists.

    Writes `<identity>/<image id>.jpg` and `truth.parquet` (schemas.truth). Each identity and each image has its own random
    stream, so neither depends on how many others are rendered. With the probabilities `two_faces_share` and `no_face_share` a
    photograph holds a stranger beside the person, or nobody; it stays filed under the person, as such pictures do in real
    collections.

    Returns:
        The photographs, with the true landmarks where exactly one face is in the picture, else None.
    """
    planned = plan(settings, folder)
    photos: list[PhotoRecord] = []
    truth: list[dict[str, object]] = []
    with atomic_dir(folder) as partial:
        for place, photo in track(list(enumerate(planned.photos)), "rendering photographs", total=len(planned.photos)):
            picture, faces = render_image(settings, *divmod(place, settings.images_per_identity))
            file = partial / Path(photo.path).relative_to(folder)
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(_encode(picture))
            landmarks = faces[0].landmarks.reshape(10).tolist() if len(faces) == 1 else None
            photos.append(replace(photo, landmarks=landmarks))
            truth += [
                {
                    "image_id": photo.image_id,
                    "face_index": face_index,
                    "box": face.box.tolist(),
                    "landmarks": face.landmarks.reshape(10).tolist(),
                }
                for face_index, face in enumerate(faces)
            ]
        write_table(partial / "truth.parquet", table_from_rows(truth, TRUTH), TRUTH)
    return replace(planned, photos=as_photos(photos))


def plan(settings: Settings, folder: Path) -> SourceFaces:
    """What `make` would return, but for the landmarks; nothing is rendered."""
    names = [f"person-{index:04d}" for index in range(settings.num_identities)]
    photos = []
    for name in names:
        for number in range(settings.images_per_identity):
            image_id = make_image_id(name, f"{number:03d}")
            photos.append(PhotoRecord(image_id, name, str(folder / name / f"{image_id}.jpg"), None, image_id))
    return SourceFaces(photos=as_photos(photos), all_names=frozenset(names))


def render_image(settings: Settings, identity: int, image: int) -> tuple[Picture, list[TrueFace]]:
    """Render photograph number `image` of person number `identity`: uint8 RGB (size_px, size_px, 3), and its
    faces from left to right.
    """
    rng = _stream(settings.seed, IMAGE_STREAM, identity, image)
    lot = rng.random()
    person = identity_vector(settings.seed, identity)
    people: list[Vector] = [person]
    if lot < settings.no_face_share:
        people = []
    elif lot < settings.no_face_share + settings.two_faces_share:
        stranger = sample_identity(rng)
        people = [person, stranger] if rng.random() < 0.5 else [stranger, person]
    return render_photo(people, rng, settings.size_px)


def identity_vector(seed: int, identity: int) -> Vector:
    """The vector of person number `identity`, float32 (NUM_PARAMETERS,) in [0, 1]."""
    return sample_identity(_stream(seed, IDENTITY_STREAM, identity))


def _stream(seed: int, *place: int) -> np.random.Generator:
    # A seed sequence takes no negative numbers: params may.
    return np.random.default_rng(np.random.SeedSequence([seed % 2**64, *place]))


def _encode(picture: Picture) -> bytes:
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise RuntimeError("OpenCV could not write a JPEG")
    return bytes(data)
