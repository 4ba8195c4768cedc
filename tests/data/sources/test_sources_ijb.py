"""IJB-B and IJB-C in InsightFace's layout, on made data."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import ijb
from pipeline_lib.data.sources.shared.manifest import build_manifest
from tests.data.sources.test_sources_manifest import ingest, photograph, source

# template -> (subject, images by medium); templates 1 to 4 are galleries, 5 to 9 probes.
TEMPLATES = {
    1: (11, {1: [1]}),
    2: (12, {2: [2, 3]}),
    3: (13, {3: [4]}),
    4: (14, {4: [5]}),
    5: (11, {5: [6, 7], 6: [8]}),
    6: (12, {7: [9]}),
    7: (13, {8: [10]}),
    8: (14, {9: [11]}),
    9: (11, {10: [12]}),
}
GALLERIES = {"S1": [1, 2], "S2": [3, 4]}
LABELS = [(1, 5, 1), (1, 9, 1), (2, 6, 1), (3, 7, 1), (4, 8, 1), (1, 6, 0), (2, 5, 0), (3, 8, 0), (4, 7, 0)]


def write_ijb(root: Path, searches: bool = True, name: str = "ijbb", parts: tuple[str, str] = ("S1", "S2")) -> Path:
    meta = root / "meta"
    meta.mkdir(parents=True)
    rows = [
        (image, template, medium)
        for template, (_, media) in TEMPLATES.items()
        for medium, images in media.items()
        for image in images
    ]
    for image, _, _ in rows:
        photograph(root / "loose_crop" / f"{image}.jpg")
    write(meta / f"{name}_face_tid_mid.txt", [f"{image}.jpg {template} {medium}" for image, template, medium in rows])
    points = " ".join(str(value) for value in range(10))
    write(meta / f"{name}_name_5pts_score.txt", [f"{image}.jpg {points} 0.{image + 10}" for image, _, _ in rows])
    write(meta / f"{name}_template_pair_label.txt", [" ".join(map(str, label)) for label in LABELS])
    if searches:
        listed = {f"gallery_{part}": GALLERIES[like] for part, like in zip(parts, ("S1", "S2"), strict=True)}
        for part, templates in {**listed, "probe_mixed": [5, 6, 7, 8, 9]}.items():
            lines = [
                f"{template},{TEMPLATES[template][0]},img/{image}.jpg,7"
                for template in templates
                for images in TEMPLATES[template][1].values()
                for image in images
            ]
            write(meta / f"{name}_1N_{part}.csv", ["TEMPLATE_ID,SUBJECT_ID,FILENAME,SIGHTING_ID", *lines])
    return root


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")


def test_one_to_one(tmp_path: Path) -> None:
    faces = ijb.read(write_ijb(tmp_path))
    assert {photo.image_id: photo.identity for photo in faces.photos}["ijbb-6"] == "ijbb_s11"
    assert next(iter(faces.photos)).landmarks == list(range(10))
    assert {photo.split for photo in faces.photos} == {"test"}
    of_five = [(row.image_id, row.media, row.weight) for row in faces.templates if row.template == "ijbb-t5"]
    assert of_five == [("ijbb-6", "ijbb-t5-m5", 0.16), ("ijbb-7", "ijbb-t5-m5", 0.17), ("ijbb-8", "ijbb-t5-m6", 0.18)]
    pairs = [pair for pair in faces.pairs if pair.protocol == "ijbb"]
    assert [(pair.image_a, pair.image_b, pair.genuine) for pair in pairs] == [
        (f"ijbb-t{a}", f"ijbb-t{b}", bool(label)) for a, b, label in LABELS
    ]
    assert all(pair.fold == next(p.fold for p in pairs if p.image_a == pair.image_a) for pair in pairs)


@pytest.mark.parametrize(("name", "parts"), [("ijbb", ("S1", "S2")), ("ijbc", ("G1", "G2"))])
def test_one_to_many_has_every_probe_against_every_gallery(tmp_path: Path, name: str, parts: tuple[str, str]) -> None:
    faces = ijb.read(write_ijb(tmp_path, name=name, parts=parts))
    protocol = f"{name}_1n_{parts[0].lower()}"
    pairs = [pair for pair in faces.pairs if pair.protocol == protocol]
    assert {(pair.image_a, pair.image_b) for pair in pairs} == {
        (f"{name}-t{probe}", f"{name}-t{template}") for probe in range(5, 10) for template in (1, 2)
    }
    genuine = {(pair.image_a, pair.image_b) for pair in pairs if pair.genuine}
    assert genuine == {(f"{name}-t{a}", f"{name}-t{b}") for a, b in ((5, 1), (9, 1), (6, 2))}  # 7 and 8 are strangers
    assert {pair.protocol for pair in faces.pairs} == {name, protocol, f"{name}_1n_{parts[1].lower()}"}


def test_without_subjects_genuine_pairs_say_who_is_one_person(tmp_path: Path) -> None:
    faces = ijb.read(write_ijb(tmp_path, searches=False))
    people: dict[str, set[str]] = {}
    for photo in faces.photos:
        people.setdefault(photo.identity, set()).add(photo.media.split("-")[1])
    assert sorted(map(sorted, people.values())) == [["t1", "t5", "t9"], ["t2", "t6"], ["t3", "t7"], ["t4", "t8"]]
    assert {pair.protocol for pair in faces.pairs} == {"ijbb"}


def test_it_becomes_a_manifest(tmp_path: Path) -> None:
    faces = ijb.read(write_ijb(tmp_path))
    built = build_manifest([(source("ijb", "test"), faces)], ingest(val_share=0.0))
    assert built.counts["num_templates"] == 9
    assert built.counts["num_pairs"] == 9 + 2 * 10
    assert built.manifest.table()["landmarks"].to_pylist()[0] == list(range(10))


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(root: Path) -> None:
        path = root / "meta" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: (root / "meta/ijbb_face_tid_mid.txt").unlink(), "templates are missing"),
        (lambda root: (root / "meta/ijbb_1N_gallery_S2.csv").unlink(), r"missing[\s\S]*gallery_S2"),
        (lambda root: (root / "loose_crop/9.jpg").unlink(), r"no crop[\s\S]*9\.jpg[\s\S]*tid_mid\.txt:9"),
        (edited("ijbb_name_5pts_score.txt", "9.jpg 0", "x.jpg 0"), r"no line of landmarks[\s\S]*tid_mid\.txt:9"),
        (edited("ijbb_name_5pts_score.txt", "0.11", "zero"), r"no numbers[\s\S]*score\.txt:1"),
        (edited("ijbb_name_5pts_score.txt", "0.12", "0"), r"not above 0[\s\S]*score\.txt:2"),
        (edited("ijbb_template_pair_label.txt", "1 5 1", "1 55 1"), r"no images[\s\S]*55[\s\S]*label\.txt:1"),
        (edited("ijbb_template_pair_label.txt", "1 5 1", "1 5 0"), r"contradicts[\s\S]*label\.txt:1"),
        (edited("ijbb_template_pair_label.txt", "1 5 1", "1 5"), r"3 fields[\s\S]*label\.txt:1"),
        (edited("ijbb_template_pair_label.txt", "1 5 1", "1 5 2"), r"none that is known[\s\S]*label\.txt:1"),
        (edited("ijbb_1N_probe_mixed.csv", "7,13", "77,13"), r"1:N has no images[\s\S]*77[\s\S]*mixed\.csv:6"),
        (edited("ijbb_1N_probe_mixed.csv", "5,11,img/7", "5,12,img/7"), r"two subjects[\s\S]*mixed\.csv:3"),
        (edited("ijbb_1N_probe_mixed.csv", "SUBJECT_ID", "WHO"), r"first line[\s\S]*mixed\.csv:1"),
        (edited("ijbb_face_tid_mid.txt", "9.jpg 6", "8.jpg 6"), r"two people[\s\S]*tid_mid\.txt:9"),
    ],
)
def test_bad_files_are_named(tmp_path: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(write_ijb(tmp_path))
    with pytest.raises(DataError, match=message):
        ijb.read(tmp_path)
