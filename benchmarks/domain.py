"""Which photographs a verifier says are unlike those of its calibration: LFW, CFP, ORL and rendered faces against one another.

    FACES_DIR=/path/to/faces python -m benchmarks.domain

Needs lfw/images, cfp and orl below FACES_DIR. Takes some minutes on one core: 2,500 photographs are searched with dlib's HOG
detector and embedded with dlib's network. The package's own calibration saw some of LFW's and CFP's.
"""

import io
import os
import random
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.detection.build import make_detector
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.delivery.verifier.domain import descriptions, fit_domain
from pipeline_lib.delivery.verifier.encoder import patch_means
from pipeline_lib.delivery.verifier.shipped import load_shipped

NUM_PEOPLE, PHOTOS_A_PERSON, SIZE_PX, SEED = 115, 3, 250, 5
FITTED = {"LFW": {"lfw": 300}, "LFW and CFP": {"lfw": 800, "cfp": 400}, "rendered": {"ren": 240}, "the package's": {}}
Photo = Image.Image


def encoded(photo: Photo, kind: str = "png", **options: int) -> bytes:
    """The photograph's file."""
    data = io.BytesIO()
    photo.save(data, kind, **options)
    return data.getvalue()


def photographs(folder: Path) -> dict[str, Iterable[bytes]]:
    """Files of each collection, and changed copies of LFW's and rendered ones."""
    shuffle = random.Random(0)
    lfw, cfp = (sorted((folder / name).rglob("*.jpg")) for name in ("lfw/images", "cfp"))
    shuffle.shuffle(lfw)
    shuffle.shuffle(cfp)
    rng, rendered = np.random.default_rng(SEED), []
    for _ in range(NUM_PEOPLE):
        identity = sample_identity(rng)
        rendered += [Image.fromarray(render_photo([identity], rng, SIZE_PX)[0]) for _ in range(PHOTOS_A_PERSON)]

    def changed(paths: list[Path], change: Callable[[Photo], bytes]) -> list[bytes]:
        return [change(Image.open(path)) for path in paths]

    orl = sorted((folder / "orl").rglob("*.pgm"))[::6]
    return {
        "lfw": [path.read_bytes() for path in lfw[:1100]],
        "cfp": [path.read_bytes() for path in cfp[:700]],
        "ren": [encoded(photo) for photo in rendered],
        "lfw grey": changed(lfw[1000:1100], lambda photo: encoded(photo.convert("L"))),
        "ren grey": [encoded(photo.convert("L")) for photo in rendered[-90:]],
        "lfw 100 px": changed(lfw[1040:1100], lambda photo: encoded(photo.resize((100, 100)).resize((250, 250)))),
        "lfw JPEG 15": changed(lfw[1040:1100], lambda photo: encoded(photo, "jpeg", quality=15)),
        "orl": changed(orl, lambda photo: encoded(photo.resize((184, 224)))),
    }


def main() -> None:
    """Print the share that is flagged of each collection, by either Gaussian, by the pixels' and by the patches'."""
    verifier = load_shipped()
    verifier.detector = make_detector("dlib", None, 0.0, 40, largest_only=False)
    faces, patches = {}, {}
    for name, files in photographs(Path(os.environ["FACES_DIR"])).items():
        found = []
        for data in files:
            try:
                found.append(verifier.aligned(data))
            except DataError:  # no face, or several
                continue
        faces[name] = np.stack(found)
        patches[name] = np.asarray(patch_means(verifier.encoder.whole_face, faces[name]))
    for title, fitted in FITTED.items():
        domain = verifier.domain
        if fitted:
            both = [np.concatenate([part[name][:num] for name, num in fitted.items()]) for part in (faces, patches)]
            domain = fit_domain(*both)
        assert domain is not None
        assert domain.patches is not None
        print(f"calibrated on {title}")
        for name in faces:
            pixels, means = faces[name][fitted.get(name, 0) :], patches[name][fitted.get(name, 0) :]
            shares = [
                100 * np.mean(distances > 1)
                for distances in (
                    domain.distances(pixels, means),
                    domain.pixels.distances(descriptions(pixels)),
                    domain.patches.distances(unit(means)),
                )
            ]
            print(f"  {name:12} {len(pixels):4}  " + "  ".join(f"{share:5.1f} %" for share in shares))


if __name__ == "__main__":
    main()
