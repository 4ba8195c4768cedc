"""One photograph as the verifier takes it in: its bytes' digest, its one face, and how it looks on a page."""

import hashlib
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pipeline_lib.data.faces.align_photo import align_chosen, align_photo
from pipeline_lib.data.faces.detection.face import Detector, Face
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.delivery.verifier.files import Settings
from pipeline_lib.delivery.verifier.pictures_in import Picture

SHOWN_PX, QUALITY = 640, 85
Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Photograph:
    """What is said of one of the two photographs.

    Attributes:
        sha256: of the file's bytes, hex; None of pixels that came without a file.
        width, height: px of the upright photograph.
        box: x0 y0 x1 y1, px, of the face that was compared, within the photograph.
        distance: from the photographs that the model was calibrated on, in units of the limit (domain.Domain): above 1 the
            photograph is unlike them. None where the model knows nothing of them.
    """

    sha256: str | None
    width: int
    height: int
    box: tuple[int, int, int, int]
    distance: float | None


@dataclass(frozen=True)
class Taken:
    """A photograph and its face; the photograph itself is not kept, for a call may be about thousands.

    Attributes:
        crop: uint8 (112, 112, 3), the aligned face.
        width, height, box, sha256: see Photograph.
        pixels: digest of the decoded pixels: two files with one digest show the same picture.
        shown: the whole photograph as JPEG, its longer side at most SHOWN_PX; None where nobody looks.
    """

    crop: Image
    width: int
    height: int
    box: tuple[int, int, int, int]
    sha256: str | None
    pixels: str
    shown: bytes | None

    def photograph(self, distance: float | None) -> Photograph:
        """What is said of it."""
        return Photograph(self.sha256, self.width, self.height, self.box, distance)


def take_in(
    picture: Picture, settings: Settings, detector: Detector, face: Face | None = None, is_shown: bool = False
) -> Taken:
    """Decode a photograph, find its one face, unless it was chosen, and align it.

    Raises:
        PhotoError, FaceReject: there is none, or no picture; see decode_photo, align_photo.
    """
    image = decode_photo(picture.data, settings.max_pixels)
    align = settings.align
    how = align.several_faces, align.min_face_px
    crop, _, face = align_photo(image, detector, *how) if face is None else align_chosen(image, [face], *how)
    height, width = image.shape[:2]
    x0, y0, x1, y1 = np.clip(np.rint(face.box), 0, [width, height, width, height]).astype(int).tolist()
    digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()
    return Taken(crop, width, height, (x0, y0, x1, y1), picture.sha256, digest, _shown(image) if is_shown else None)


def _shown(image: Image) -> bytes:
    height, width = image.shape[:2]
    scale = min(1.0, SHOWN_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    smaller = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", np.asarray(smaller)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done, "pixels that were decoded"
    return bytes(data.tobytes())
