"""Templates: drawn ones, and a source's own without what cannot be used."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources.shared.manifest import build_manifest
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, TemplateRecord, as_photos
from pipeline_lib.data.sources.shared.templates import Drawn, draw_templates, templates_that_stay
from pipeline_lib.params.ingest import DrawnTemplates
from tests.data.sources.test_sources_manifest import faces_of, ingest, make_folder, photograph, source


def photos(sizes: list[int], per_medium: int = 1) -> list[PhotoRecord]:
    """Person p0.. with so many photographs; `per_medium` of them are of one medium."""
    return [
        PhotoRecord(f"p{person}-{i}", f"p{person}", "unused", None, f"p{person}-m{i // per_medium}")
        for person, size in enumerate(sizes)
        for i in range(size)
    ]


def draw(
    sizes: list[int], max_impostors: int | None = None, per_medium: int = 1, seed: int = 0, folds: int = 10
) -> Drawn:
    drawn = DrawnTemplates(min_images=5, max_impostors=max_impostors)
    return draw_templates(photos(sizes, per_medium), drawn, folds, np.random.default_rng(seed))


def half(template: str) -> tuple[str, str]:
    _, person, letter = template.split("-")
    return person, letter


def test_two_disjoint_halves_of_each_person_with_enough_photographs() -> None:
    templates = draw([5, 4, 8, 1, 6]).templates
    assert {half(row.template)[0] for row in templates} == {"p0", "p2", "p4"}
    sizes = Counter(row.template for row in templates)
    assert sorted(sizes.values()) == [2, 3, 3, 3, 4, 4]
    assert len({row.image_id for row in templates}) == len(templates) == 19
    assert all(row.image_id.split("-")[0] == half(row.template)[0] for row in templates)


def test_all_cross_pairs_and_every_genuine_one() -> None:
    pairs = draw([5] * 40).pairs
    assert len({(pair.image_a, pair.image_b) for pair in pairs}) == len(pairs) == 40 * 40
    assert sum(pair.genuine for pair in pairs) == 40
    assert all(pair.genuine == (half(pair.image_a)[0] == half(pair.image_b)[0]) for pair in pairs)
    assert {half(pair.image_a)[1] + half(pair.image_b)[1] for pair in pairs} == {"ab"}
    folds = {pair.image_a: set() for pair in pairs}
    for pair in pairs:
        folds[pair.image_a].add(pair.fold)
    assert all(len(found) == 1 for found in folds.values())
    assert Counter(min(found) for found in folds.values()) == dict.fromkeys(range(10), 4)


def test_a_bound_leaves_whole_probes_out() -> None:
    pairs = draw([5] * 12, max_impostors=40).pairs  # 3 probes of 11 impostors each
    impostors = Counter(pair.image_a for pair in pairs if not pair.genuine)
    assert list(impostors.values()) == [11, 11, 11]
    assert sum(pair.genuine for pair in pairs) == 12
    assert sum(not pair.genuine for pair in draw([5] * 12, max_impostors=1).pairs) == 11
    assert len(draw([5] * 12, max_impostors=10_000).pairs) == 144


def test_no_video_is_on_both_sides() -> None:
    templates = draw([9, 7, 6], per_medium=4).templates
    sides: dict[str, set[str]] = {}
    for row in templates:
        sides.setdefault(row.media, set()).add(row.template)
    assert len(sides) == 7
    assert all(len(found) == 1 for found in sides.values())


def test_the_same_photographs_and_seed_give_the_same_in_any_order() -> None:
    drawn, listed = DrawnTemplates(), photos([5, 6, 7])
    assert draw_templates(listed[::-1], drawn, 10, np.random.default_rng(0)) == draw([5, 6, 7])
    assert draw([5, 6, 7], seed=1).templates != draw([5, 6, 7]).templates


@pytest.mark.parametrize(("sizes", "per_medium"), [([], 1), ([4, 4], 1), ([5, 4], 1), ([6, 6], 6)])
def test_too_few_people(sizes: list[int], per_medium: int) -> None:
    with pytest.raises(DataError, match=r"too few test people[\s\S]*ingest\.templates\.min_images"):
        draw(sizes, per_medium=per_medium)


def test_of_copies_the_photograph_that_stays_counts_once_a_medium() -> None:
    rows = [("t", "a", "m"), ("t", "copy", "m"), ("t", "copy2", "n"), ("u", "gone", "gone"), ("v", "b", "b")]
    templates = [TemplateRecord(*row, weight=0.5) for row in rows]
    found = templates_that_stay(templates, {"copy": "a", "copy2": "a"}, {"a", "b"})
    assert [(row.template, row.image_id, row.media) for row in found] == [
        ("t", "a", "m"),
        ("t", "a", "n"),
        ("v", "b", "b"),
    ]
    assert {row.weight for row in found} == {0.5}


def with_templates(root: Path) -> SourceFaces:
    """Three folds of two of people a to f; each person's two photographs are a template, and d's are damaged."""
    faces = faces_of(root, "clips", list("abcdef"), num_images=4, pairs=False)
    templates = [
        TemplateRecord(f"t-{photo.identity}{i % 4 // 2}", photo.image_id, photo.media)
        for i, photo in enumerate(faces.photos)
    ]
    for photo in list(faces.photos)[12:14]:
        Path(photo.path).write_bytes(b"")
    pairs = [
        PairRecord("clips", fold, f"t-{a}0", f"t-{b}1", a == b, "g")
        for fold, people in enumerate(("ab", "cd", "ef"))
        for a in people
        for b in people
    ]
    return SourceFaces(faces.photos, pairs, faces.all_names, templates)


def test_a_template_without_a_usable_photograph_loses_its_pairs(tmp_path: Path) -> None:
    built = build_manifest([(source("clips", "test"), with_templates(tmp_path))], ingest(val_share=0.0))
    assert built.manifest.table().num_rows == 22
    assert set(built.templates["template"].to_pylist()) == {f"t-{name}{i}" for name in "abcdef" for i in "01"} - {
        "t-d0"
    }
    named = [(row["image_a"], row["image_b"]) for row in built.pairs.to_pylist()]
    assert len(named) == 10
    assert ("t-d0", "t-d1") not in named
    assert ("t-c0", "t-d1") in named
    assert set(built.pairs["group"].to_pylist()) == {"g"}
    assert built.counts["num_own_pairs_rejected"] == 2
    assert built.counts["num_templates"] == 11


def test_a_cut_to_fewer_folds_keeps_the_photographs_of_their_templates(tmp_path: Path) -> None:
    built = build_manifest([(source("clips", "test"), with_templates(tmp_path))], ingest(val_share=0.0, max_folds=2))
    assert set(built.manifest.table()["identity"].to_pylist()) == set("abcd")
    assert built.pairs.num_rows == 6


def test_drawn_templates_come_last_and_of_test_people_alone(tmp_path: Path) -> None:
    read = make_sources(tmp_path)
    built = build_manifest(read, ingest(templates={"min_images": 3}))
    protocols = list(dict.fromkeys(built.pairs["protocol"].to_pylist()))
    assert protocols[-1] == "templates"
    split_of = dict(
        zip(built.manifest.table()["image_id"].to_pylist(), built.manifest.table()["split"].to_pylist(), strict=True)
    )
    assert {split_of[image] for image in built.templates["image_id"].to_pylist()} == {"test"}
    assert built.counts["num_templates"] == 2 * 6  # 0.3 of 20 people
    assert build_manifest(read, ingest()).templates.num_rows == 0


def make_sources(root: Path):
    from pipeline_lib.data.sources import image_folder

    return [(source(), image_folder.read(make_folder(root / "faces")))]


def test_a_template_named_as_a_photograph_is_refused(tmp_path: Path) -> None:
    path = photograph(tmp_path / "a.png")
    photo = PhotoRecord("a", "ann", str(path), None, "a")
    faces = SourceFaces(as_photos([photo]), [], frozenset(), [TemplateRecord("a", "a", "a")])
    with pytest.raises(DataError, match=r"name of an image[\s\S]*'a'"):
        build_manifest([(source("clips", "test"), faces)], ingest())
