"""Photographs to try things with, of people who do not exist: a.jpg and b.jpg of one, c.jpg of another, and people/ with both.

python examples/rendered_people.py [folder]
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline_lib.data.sources import synthetic
from pipeline_lib.params.ingest import Synthetic

SEED, NUM_PEOPLE, NUM_PHOTOS = 2026, 2, 3


def main(folder: Path) -> None:
    """Render the people and write their photographs below `folder`; files of the same names are replaced."""
    settings = Synthetic(
        num_identities=NUM_PEOPLE,
        images_per_identity=NUM_PHOTOS,
        size_px=250,
        two_faces_share=0.0,
        no_face_share=0.0,
        seed=SEED,
    )
    with TemporaryDirectory() as scratch:
        made = synthetic.make(settings, Path(scratch, "photos"))
        photos = [Path(photo.path).read_bytes() for photo in made.photos]
        names = [photo.identity for photo in made.photos]
    for name, number in (("a.jpg", 0), ("b.jpg", 1), ("c.jpg", NUM_PHOTOS)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(photos[number])
    for number in (1, 2, NUM_PHOTOS + 1):  # not the photographs that are searched for
        person = folder / "people" / names[number]
        person.mkdir(parents=True, exist_ok=True)
        (person / f"{number}.jpg").write_bytes(photos[number])


if __name__ == "__main__":
    main(Path(*sys.argv[1:2]))
