"""pairs.csv and attributes.csv beside folders of people."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import image_folder
from pipeline_lib.data.sources.shared.components import components, deal_folds
from pipeline_lib.data.sources.shared.manifest import build_manifest
from tests.data.sources.test_sources_manifest import ingest, make_folder, photograph, source

ROWS = ["p00/0.png,p00/1.png,1", "p00/0.png, p01/1.png ,no", "p02/0.png,p02/2.png,TRUE", "p02/1.png,p03/0.png,0"]


def folder(root: Path, rows: list[str], header: str = "a,b,same", name: str = "pairs.csv") -> Path:
    made = make_folder(root / "mine", num_identities=10)
    (made / name).write_text("\n".join([header, *rows]))
    return made


def test_pairs_become_the_protocol_of_test_people(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    faces = image_folder.read(folder(tmp_path, ROWS))
    assert "left out" not in caplog.text
    built = build_manifest([(source(), faces)], ingest(test_share=0.0))
    rows = [row for row in built.pairs.to_pylist() if row["protocol"] == "pairs"]
    assert [(row["image_a"], row["image_b"], row["genuine"], row["group"]) for row in rows] == [
        ("mine-p00-0", "mine-p00-1", True, None),
        ("mine-p00-0", "mine-p01-1", False, None),
        ("mine-p02-0", "mine-p02-2", True, None),
        ("mine-p02-1", "mine-p03-0", False, None),
    ]
    assert [row["fold"] for row in rows] == [0, 0, 1, 1]  # nobody is in two folds
    manifest = built.manifest.table().to_pylist()
    assert {row["identity"] for row in manifest if row["split"] == "test"} == {"p00", "p01", "p02", "p03"}
    assert set(built.pairs["protocol"].to_pylist()) == {"pairs", "val"}  # none are drawn of the test people


def test_folds_and_groups_of_the_file(tmp_path: Path) -> None:
    rows = [f"{row},{fold},{group}" for row, fold, group in zip(ROWS, (3, 3, 7, 7), ("x", "y", "", "x"), strict=True)]
    faces = image_folder.read(folder(tmp_path, rows, "a,b,same,fold,group"))
    assert [(pair.fold, pair.group) for pair in faces.pairs] == [(3, "x"), (3, "y"), (7, None), (7, "x")]


def test_files_of_one_stem_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    made = folder(tmp_path, ["p00/0.png,p00/0.jpg,1", *ROWS])
    photograph(made / "p00/0.jpg")
    faces = image_folder.read(made)
    first = faces.pairs[0]
    paths = {photo.image_id: Path(photo.path).name for photo in faces.photos}
    assert (paths[first.image_a], paths[first.image_b]) == ("0.png", "0.jpg")
    build_manifest([(source(), faces)], ingest(test_share=0.0))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p00/9.png,p00/1.png,1", r"not here[\s\S]*p00/9\.png"),
        ("../p00/0.png,p00/1.png,1", "not here"),
        ("p00/0.png,p00/1.png,maybe", r"none that is known[\s\S]*maybe"),
        ("p00/1.png,p00/0.png,1", "repeated"),
        ("p00/1.png,p00/1.png,1", "of one photograph"),
        ("p00/1.png,p01/0.png,1", "contradicts the folders"),
        ("p00/1.png,p01/0.png", "another number of fields"),
    ],
)
def test_bad_pairs_are_named_with_their_line(tmp_path: Path, row: str, message: str) -> None:
    made = folder(tmp_path, [*ROWS, row])
    with pytest.raises(DataError, match=message + r"[\s\S]*pairs\.csv:6"):
        image_folder.read(made)


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("a,b", [], r"first line[\s\S]*pairs\.csv:1"),
        ("a,b,same,a", [], r"first line[\s\S]*pairs\.csv:1"),
        ("a,b,same", [], "of one person and of two"),
        ("a,b,same", ROWS[:1], "of one person and of two"),
        ("a,b,same,fold", [f"{ROWS[0]},first"], r"fold is no number[\s\S]*pairs\.csv:2"),
    ],
)
def test_bad_tables_of_pairs(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    made = folder(tmp_path, rows, header)
    with pytest.raises(DataError, match=message):
        image_folder.read(made)


def test_pairs_of_training_people_are_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        make_folder(tmp_path / "mine" / split, num_identities=3)
        for person in range(3):
            (tmp_path / "mine" / split / f"p{person:02d}").rename(tmp_path / "mine" / split / f"{split}{person}")
    (tmp_path / "mine/pairs.csv").write_text("a,b,same\ntrain/train0/0.png,train/train0/1.png,1\n")
    with pytest.raises(DataError, match=r"not for testing[\s\S]*train[\s\S]*pairs\.csv:2"):
        image_folder.read(tmp_path / "mine")


def test_attributes_of_people_and_of_photographs(tmp_path: Path) -> None:
    made = folder(tmp_path, ["P00,x,1990", "p01,,1991"], "identity,origin,born", "attributes.csv")
    (made / "p00" / "0.png").write_bytes(b"")
    built = build_manifest([(source(), image_folder.read(made))], ingest())
    said = {(row["image_id"], row["name"]): row["value"] for row in built.attributes.to_pylist()}
    assert said == {
        **{(f"mine-p00-{i}", "origin"): "x" for i in (1, 2)},
        **{(f"mine-p00-{i}", "born"): "1990" for i in (1, 2)},
        **{(f"mine-p01-{i}", "born"): "1991" for i in range(3)},
    }
    (made / "attributes.csv").write_text("image,glasses\np00/1.png,yes\n")
    built = build_manifest([(source(), image_folder.read(made))], ingest())
    assert built.attributes.to_pylist() == [{"image_id": "mine-p00-1", "name": "glasses", "value": "yes"}]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("who,origin", ["p00,x"], r"wrong columns[\s\S]*:1"),
        ("identity,image,origin", ["p00,p00/0.png,x"], r"wrong columns[\s\S]*:1"),
        ("identity", ["p00"], r"wrong columns[\s\S]*:1"),
        ("identity,view", ["p00,x"], r"wrong columns[\s\S]*view[\s\S]*:1"),
        ("identity,origin", ["p77,x"], r"no photographs here[\s\S]*p77[\s\S]*:2"),
        ("identity,origin", ["p00,x", "p00,x"], r"repeated[\s\S]*:3"),
        ("image,origin", ["p00/7.png,x"], r"not here[\s\S]*p00/7[\s\S]*:2"),
    ],
)
def test_bad_tables_of_attributes(tmp_path: Path, header: str, rows: list[str], message: str) -> None:
    made = folder(tmp_path, rows, header, "attributes.csv")
    with pytest.raises(DataError, match=message):
        image_folder.read(made)


def test_boxes_say_who_of_several_people_is_meant(tmp_path: Path) -> None:
    made = folder(tmp_path, ["p00/1.png,10,-2,30.5,40"], "image,x0,y0,x1,y1", "boxes.csv")
    built = build_manifest([(source(), image_folder.read(made))], ingest())
    boxes = {row["image_id"]: row["box"] for row in built.manifest.table().to_pylist()}
    assert boxes.pop("mine-p00-1") == [10.0, -2.0, 30.5, 40.0]
    assert set(boxes.values()) == {None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("p00/7.png,1,2,3,4", r"not here[\s\S]*:2"),
        ("p00/0.png,1,2,3,x", r"box is none[\s\S]*x0 < x1[\s\S]*:2"),
        ("p00/0.png,1,2,1,4", r"box is none[\s\S]*:2"),
        ("p00/0.png,1,2,3,inf", r"box is none[\s\S]*:2"),
        ("p00/0.png,nan,2,3,4", r"box is none[\s\S]*:2"),
        ("p00/0.png,1,2,3,4\np00/0.png,1,2,3,4", r"two boxes[\s\S]*:3"),
    ],
)
def test_bad_boxes(tmp_path: Path, row: str, message: str) -> None:
    made = folder(tmp_path, [row], "image,x0,y0,x1,y1", "boxes.csv")
    with pytest.raises(DataError, match=message):
        image_folder.read(made)


NAMES = st.sampled_from("abcdefgh")


@settings(max_examples=60, deadline=None)
@given(edges=st.lists(st.tuples(NAMES, NAMES), max_size=10))
def test_components_are_those_that_a_walk_reaches(edges: list[tuple[str, str]]) -> None:
    found = components("abcdefgh", edges)
    for name in "abcdefgh":
        reached = {name}
        for _ in range(8):
            reached |= {one for edge in edges for one in edge if reached & set(edge)}
        assert found[name] == min(reached)


@settings(max_examples=60, deadline=None)
@given(pairs=st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=20), num_folds=st.integers(2, 5))
def test_nobody_is_in_two_folds_where_people_fall_apart(pairs: list[tuple[str, str]], num_folds: int) -> None:
    people = {name for pair in pairs for name in pair}
    if len(people) < 2:
        with pytest.raises(DataError, match="one person"):
            deal_folds(pairs, num_folds)
        return
    folds = deal_folds(pairs, num_folds)
    assert set(folds) <= set(range(num_folds))
    if len(set(components(people, pairs).values())) > 1:
        of: dict[str, set[int]] = {}
        for pair, fold in zip(pairs, folds, strict=True):
            for name in pair:
                of.setdefault(name, set()).add(fold)
        assert all(len(found) == 1 for found in of.values())
        assert len(set(folds)) > 1


def test_folds_are_even_and_shared_where_all_hang_together() -> None:
    pairs = [(f"p{i}", f"p{i + 1}") for i in range(0, 40, 2)]
    assert Counter(deal_folds(pairs, 10)) == dict.fromkeys(range(10), 2)
    ring = [(f"p{i:02d}", f"p{(i + 1) % 20:02d}") for i in range(20)]
    assert Counter(deal_folds(ring, 10)) == dict.fromkeys(range(10), 2)
