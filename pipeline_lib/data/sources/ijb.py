"""IJB-B and IJB-C (Whitelam et al., CVPRW 2017; Maze et al., ICB 2018) as InsightFace ships them: 1:1 and 1:N templates."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.folder import visible
from pipeline_lib.data.sources.shared.components import components
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import (
    PairRecord,
    PhotoRecord,
    SourceFaces,
    TemplateRecord,
    as_photos,
    make_image_id,
)
from pipeline_lib.data.sources.shared.text_tables import one_of, read_csv_rows, read_fields

LABELS = {"1": True, "0": False}
# Of the two galleries a person is in one; probes of the other's people are the strangers of open-set identification.
GALLERIES = {"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")}
PROBES = "probe_mixed"
NUM_FOLDS = 10  # IJB has none; its people are dealt to ten, for the accuracy alone
log = logging.getLogger("face_verifier")


def read(folder: Path) -> SourceFaces:
    """Read meta/ and loose_crop/ of `folder`; all of it is in the test split.

    meta/, <ijb> being ijbb or ijbc:
        <ijb>_face_tid_mid.txt          "1.jpg <template> <medium>", the image being a file of loose_crop/
        <ijb>_name_5pts_score.txt       "1.jpg x0 y0 .. x4 y4 <score>": landmarks in px of the crop, the detector's score
        <ijb>_template_pair_label.txt   "<template> <template> <1 or 0>": the protocol <ijb>
        <ijb>_1N_gallery_S1.csv, _S2.csv (IJB-C: G1, G2), <ijb>_1N_probe_mixed.csv, with columns TEMPLATE_ID, SUBJECT_ID:
                                        every probe against every template of a gallery, the protocols <ijb>_1n_s1, ...;
                                        all three files, or none

    An image's weight in its template is the detector's score. People are the subjects of the 1:N files where these are here,
    else the parts that genuine pairs join. They are numbers, so nobody can be found by name in a training set: what was
    trained on must not overlap for another reason (a log line says so).

    Raises:
        DataError: a file is missing or malformed, a pair or a 1:N file names a template without images, a label contradicts
            the people, an image has no crop or landmarks or is in templates of two people, or a score is not above 0.
    """
    meta = folder / "meta"
    name = next((name for name in GALLERIES if (meta / f"{name}_face_tid_mid.txt").is_file()), None)
    if name is None:
        raise DataError("IJB's templates are missing.", allowed="ijbb_ or ijbc_face_tid_mid.txt", where=meta)
    members = list(read_fields(meta / f"{name}_face_tid_mid.txt", 3))
    known = {template for _, (_, template, _) in members}
    pairs = list(_labelled(meta / f"{name}_template_pair_label.txt", known))
    searches = _searches(meta, name, known)
    person_of = _people(known, pairs, searches)
    for place, a, b, genuine in pairs:
        if genuine != (person_of[a] == person_of[b]):
            raise DataError("A label contradicts the people.", got=f"{a} {b} {int(genuine)}", where=place)
    points = _points(meta / f"{name}_name_5pts_score.txt")
    crops = {path.name for path in visible(folder / "loose_crop", "*")}
    photos, templates = dict[str, PhotoRecord](), list[TemplateRecord]()
    for place, (file, template, medium) in members:
        if file not in points or file not in crops:
            what = "crop" if file in points else "line of landmarks"
            raise DataError(f"An image of a template has no {what}.", got=file, where=place)
        image_id, media = make_image_id(name, Path(file).stem), make_image_id(name, f"t{template}", f"m{medium}")
        *landmarks, score = points[file]
        photo = PhotoRecord(
            image_id, _identity(name, person_of[template]), str(folder / "loose_crop" / file), "test", media, landmarks
        )
        if photos.setdefault(file, photo).identity != photo.identity:
            raise DataError("An image is in templates of two people.", got=file, where=place)
        templates.append(TemplateRecord(_template(name, template), image_id, media, score))
    folds = {person: i % NUM_FOLDS for i, person in enumerate(sorted(set(person_of.values())))}

    def record(protocol: str, a: str, b: str) -> PairRecord:
        genuine = person_of[a] == person_of[b]
        return PairRecord(protocol, folds[person_of[a]], _template(name, a), _template(name, b), genuine)

    records = [record(name, a, b) for _, a, b, _ in pairs]
    for part in GALLERIES[name] if searches else ():
        records += [record(f"{name}_1n_{part.lower()}", a, b) for a in searches[PROBES] for b in searches[part]]
    log.warning("%s: its people have numbers, no names: none can be found in a training set by name", folder)
    listed = as_photos(photos.values())
    return SourceFaces(listed, records, frozenset(listed.unique("identity")), templates)


def _template(name: str, template: str) -> str:
    return make_image_id(name, f"t{template}")


def _identity(name: str, person: str) -> str:
    return normalise_name(f"{name} {person}")


def _labelled(path: Path, known: set[str]) -> Iterator[tuple[str, str, str, bool]]:
    for place, (a, b, label) in read_fields(path, 3):
        if missing := [template for template in (a, b) if template not in known]:
            raise DataError("A template of a pair has no images.", got=missing, where=place)
        yield place, a, b, one_of(label, LABELS, place)


def _points(path: Path) -> dict[str, list[float]]:
    points = {}
    for place, (file, *numbers) in read_fields(path, 12):
        try:
            points[file] = [float(number) for number in numbers]
        except ValueError:
            raise DataError("Landmarks or a score are no numbers.", got=" ".join(numbers), where=place) from None
        if not points[file][-1] > 0:
            raise DataError("A detector's score is not above 0.", got=points[file][-1], where=place)
    return points


def _searches(meta: Path, name: str, known: set[str]) -> dict[str, dict[str, str]]:
    """Of each 1:N file, by its part (S1, S2, probe_mixed): template -> subject; empty where there are no such files."""
    paths = {part: meta / f"{name}_1N_gallery_{part}.csv" for part in GALLERIES[name]}
    paths[PROBES] = meta / f"{name}_1N_{PROBES}.csv"
    if not any(path.is_file() for path in paths.values()):
        return {}
    found: dict[str, dict[str, str]] = {}
    subject_of: dict[str, str] = {}
    for part, path in paths.items():
        found[part] = {}
        for place, row in read_csv_rows(path, ("TEMPLATE_ID", "SUBJECT_ID"))[1]:
            template, subject = row["TEMPLATE_ID"], row["SUBJECT_ID"]
            if template not in known:
                raise DataError("A template of 1:N has no images.", got=template, where=place)
            if subject_of.setdefault(template, subject) != subject:
                raise DataError("A template is of two subjects.", got=template, where=place)
            found[part][template] = subject
    return found


def _people(
    known: set[str], pairs: Sequence[tuple[str, str, str, bool]], searches: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """Template -> its person: the subject, else the first template of those that genuine pairs join."""
    subjects = {template: f"s{subject}" for part in searches.values() for template, subject in part.items()}
    edges = [(f"t{a}", f"t{b}") for _, a, b, genuine in pairs if genuine and not {a, b} <= subjects.keys()]
    edges += [(f"t{template}", subject) for template, subject in subjects.items()]
    part_of = components({f"t{template}" for template in known} | set(subjects.values()), edges)
    return {template: part_of[f"t{template}"] for template in known}
