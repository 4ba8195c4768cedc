"""What a user puts beside folders of people: pairs.csv, whom to compare, attributes.csv, what is known of them, and boxes.csv,
where in a photograph the person is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.boxes import CORNERS, Box, stated_box
from pipeline_lib.data.sources.shared.components import deal_folds
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, Photos, as_photos
from pipeline_lib.data.sources.shared.text_tables import one_of, read_csv_rows
from pipeline_lib.schemas.manifest import MANIFEST

PAIRS_FILE, ATTRIBUTES_FILE, BOXES_FILE = "pairs.csv", "attributes.csv", "boxes.csv"
PROTOCOL = "pairs"
SAME = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
NUM_FOLDS = 10
# What verify.groups may name without a user's table.
TAKEN = {*MANIFEST.names, "group", "image"}


def read_pairs_file(path: Path, photos: Photos) -> tuple[Photos, list[PairRecord]]:
    """A user's own pairs, and the photographs with all of their people in the test split.

    Columns a, b: photographs, as paths from the file's folder; same: 1, true, yes or 0, false, no; optional fold: a number
    from 0, and group. Without folds, people are dealt to ten (deal_folds). The protocol is called pairs.

    Args:
        path: of the file.
        photos: of its folder, with distinct ids.

    Raises:
        DataError: see read_csv_rows; a photograph that is not here or lies in a folder train/ or val/, a pair that is repeated
            or of one photograph, a value that is none, a contradiction of the folders, no pair of one sort; all but the last
            name the line.
    """
    columns, lines = read_csv_rows(path, ("a", "b", "same"))
    rows = list(lines)
    photo_at = _by_place(photos, path.parent, {row[side] for _, row in rows for side in ("a", "b")})
    pairs, people, seen = list[PairRecord](), list[tuple[str, str]](), set[frozenset[str]]()
    for place, row in rows:
        a, b = (_photo_at(photo_at, row[side], place) for side in ("a", "b"))
        genuine, both = one_of(row["same"], SAME, place), frozenset((a.image_id, b.image_id))
        if len(both) < 2 or both in seen:
            problem = "A pair is repeated." if both in seen else "A pair is of one photograph."
            raise DataError(problem, got=f"{row['a']}, {row['b']}", where=place)
        if genuine != (a.identity == b.identity):
            raise DataError(
                "A pair contradicts the folders.", got=f"{row['a']}, {row['b']}, {row['same']}", where=place
            )
        if elsewhere := {photo.split for photo in (a, b)} - {None, "test"}:
            raise DataError("A pair is of photographs that are not for testing.", got=elsewhere.pop(), where=place)
        fold = row.get("fold", "0")
        if not fold.isdecimal():
            raise DataError("A fold is no number.", got=repr(fold), allowed="0, 1, 2, ...", where=place)
        seen.add(both)
        people.append((a.identity, b.identity))
        pairs.append(PairRecord(PROTOCOL, int(fold), a.image_id, b.image_id, genuine, row.get("group") or None))
    if len({pair.genuine for pair in pairs}) < 2:
        got = f"{len(pairs)} pairs, of one sort"
        raise DataError("Verification needs pairs of one person and of two.", got=got, where=path)
    if "fold" not in columns:
        folds = deal_folds(people, NUM_FOLDS)
        pairs = [replace(pair, fold=fold) for pair, fold in zip(pairs, folds, strict=True)]
    tested = {name for pair in people for name in pair}
    return as_photos(replace(photo, split="test") if photo.identity in tested else photo for photo in photos), pairs


def read_attributes_file(path: Path, photos: Photos) -> Photos:
    """The photographs with a user's attributes.

    Column image (a path from the file's folder) or identity (a folder's name), and any others; an empty field is unknown.

    Args:
        path: of the file.
        photos: of its folder.

    Raises:
        DataError: see read_csv_rows; neither key column or both, no other column or one of a name that is taken, a photograph or
            identity that is not here or comes twice; names the line.
    """
    columns, lines = read_csv_rows(path, ())
    rows = list(lines)
    keys, names = [name for name in ("image", "identity") if name in columns], set(columns) - {"image", "identity"}
    if len(keys) != 1 or not names or names & TAKEN:
        raise DataError(
            "A table of attributes has the wrong columns.",
            got=", ".join(columns),
            allowed=f"image or identity, and others that are not called {', '.join(sorted(TAKEN))}",
            where=f"{path}:1",
        )
    photo_at = _by_place(photos, path.parent, {row["image"] for _, row in rows if keys == ["image"]})
    identities = photos.unique("identity")
    said: dict[str, Mapping[str, str]] = {}
    for place, row in rows:
        text = row.pop(keys[0])
        key = _photo_at(photo_at, text, place).image_id if keys == ["image"] else normalise_name(text)
        if keys == ["identity"] and key not in identities:
            raise DataError("An identity has no photographs here.", got=text, where=place)
        if key in said:
            raise DataError("A row of attributes is repeated.", got=text, where=place)
        said[key] = {name: value for name, value in row.items() if value}
    by_image = keys == ["image"]
    return as_photos(
        replace(photo, attributes=said.get(photo.image_id if by_image else photo.identity)) for photo in photos
    )


def read_boxes_file(path: Path, photos: Photos) -> Photos:
    """The photographs with the boxes that a user states: who of several people is meant (align.several_faces: box).

    Columns image, a path from the file's folder, and x0, y0, x1, y1, px of the upright photograph, which it may reach beyond.

    Args:
        path: of the file.
        photos: of its folder.

    Raises:
        DataError: see read_csv_rows; a photograph that is not here or comes twice, a number that is none, a box without
            area; names the line.
    """
    _, lines = read_csv_rows(path, ("image", *CORNERS))
    rows = list(lines)
    photo_at = _by_place(photos, path.parent, {row["image"] for _, row in rows})
    said = dict[str, Box]()
    for place, row in rows:
        image_id = _photo_at(photo_at, row["image"], place).image_id
        if image_id in said:
            raise DataError("A photograph has two boxes.", got=row["image"], where=place)
        said[image_id] = stated_box([row[name] for name in CORNERS], place)
    return as_photos(replace(photo, box=said.get(photo.image_id)) for photo in photos)


def _by_place(photos: Photos, folder: Path, named: Iterable[str]) -> dict[PurePosixPath, PhotoRecord]:
    wanted = {PurePosixPath(text) for text in named}
    places = ((PurePosixPath(Path(photo.path).relative_to(folder).as_posix()), photo) for photo in photos)
    return {place: photo for place, photo in places if place in wanted}


def _photo_at(photo_at: Mapping[PurePosixPath, PhotoRecord], text: str, place: str) -> PhotoRecord:
    photo = photo_at.get(PurePosixPath(text))
    if photo is None:
        raise DataError(
            "A photograph that a table names is not here.", got=text, allowed="<identity>/<photograph>", where=place
        )
    return photo
