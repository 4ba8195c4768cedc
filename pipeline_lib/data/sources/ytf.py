"""YouTube Faces (Wolf et al., CVPR 2011), or any clips in its layout: each clip is a template of one medium."""

from collections.abc import Iterator
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import is_photo_name, visible
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import (
    PairRecord,
    PhotoRecord,
    SourceFaces,
    TemplateRecord,
    as_photos,
    make_image_id,
)
from pipeline_lib.data.sources.shared.text_tables import one_of, read_fields

SPLITS = "splits.txt"
# As the archives unpack; without one of them the people's folders lie beside splits.txt.
IMAGE_FOLDERS = ("aligned_images_DB", "frame_images_DB")
SAME = {"1": True, "0": False}


def read(folder: Path) -> SourceFaces:
    """Read <person>/<clip>/<frame>.jpg and splits.txt; all of it is in the test split.

    splits.txt: a line "split number, first name, second name, is same, is direct" a pair, as "1, Ann_Lee/0, Ann_Lee/3, 1, 0";
    a header may come first. A name is <person>/<clip>, the split number from 1 is the fold, `is direct` is not read. The
    protocol is called ytf. A clip's feature is the mean of its frames' (METHODS, section 1).

    Raises:
        DataError: a file is missing, a line is malformed, names a clip without frames, is repeated, or contradicts the names.
    """
    root = next((folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()), folder)
    photos, templates = [], []
    people = set[str]()
    for clip in visible(root, "*/*/"):
        person, template = normalise_name(clip.parent.name), _template(clip.parent.name, clip.name)
        people.add(person)
        for frame in visible(clip, "*"):
            if frame.is_file() and is_photo_name(frame.name):
                image_id = f"{template}-{make_image_id(frame.stem)}"
                photos.append(PhotoRecord(image_id, person, str(frame), "test", template))
                templates.append(TemplateRecord(template, image_id, template))
    if not photos:
        raise DataError("There are no frames.", allowed="<person>/<clip>/<frame>.jpg", where=root)
    pairs = list(_pairs(folder / SPLITS, {row.template for row in templates}))
    return SourceFaces(as_photos(photos), pairs, frozenset(people), templates)


def _template(person: str, clip: str) -> str:
    return make_image_id("ytf", person, clip)


def _pairs(path: Path, known: set[str]) -> Iterator[PairRecord]:
    seen = set[frozenset[str]]()
    for place, (split, *names, same, _) in read_fields(path, 5, ","):
        if split.lower().startswith("split"):
            continue
        clips = [name.split("/") for name in names]
        if not split.isdecimal() or int(split) < 1 or any(len(clip) != 2 for clip in clips):
            raise DataError(
                "A line of clips is malformed.",
                got=f"{split}, {', '.join(names)}",
                allowed="1, <person>/<clip>, <person>/<clip>, 0 or 1, 0 or 1",
                where=place,
            )
        a, b = (_template(person, clip) for person, clip in clips)
        if missing := [name for name, clip in zip(names, (a, b), strict=True) if clip not in known]:
            raise DataError("A clip of a pair has no frames here.", got=missing, where=place)
        genuine = one_of(same, SAME, place)
        if genuine != (normalise_name(clips[0][0]) == normalise_name(clips[1][0])):
            raise DataError("A pair of clips contradicts its names.", got=f"{', '.join(names)}, {same}", where=place)
        if a == b or frozenset((a, b)) in seen:
            raise DataError("A pair of clips is of one clip, or repeated.", got=", ".join(names), where=place)
        seen.add(frozenset((a, b)))
        yield PairRecord("ytf", int(split) - 1, a, b, genuine)
