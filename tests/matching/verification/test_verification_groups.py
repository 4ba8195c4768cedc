"""Errors by group at one threshold: figures by hand, a loop as oracle, and groups too small to tell."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table
from pipeline_lib.matching.verification.attributes import read_attributes
from pipeline_lib.matching.verification.calibration import Calibration, fit_calibration
from pipeline_lib.matching.verification.groups import ACROSS, UNKNOWN, Row, group_columns, group_rows, spreads
from pipeline_lib.schemas.attributes import ATTRIBUTES
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS

# image -> person and group; w's is not known.
IMAGES = {
    "u1": ("u", "x"), "u2": ("u", "x"), "v1": ("v", "x"), "v2": ("v", "x"), "w1": ("w", None), "y1": ("y", "y"), "z1": ("z", "y"),
}  # fmt: skip
# At a threshold of 0.5: x has one of two genuine pairs refused and one of two impostor pairs accepted; y has no genuine pair.
BY_HAND = [
    ("u1", "u2", 0.9, "f"), ("v1", "v2", 0.2, "f"), ("u1", "v1", 0.1, "g"), ("u2", "v2", 0.7, "g"), ("y1", "z1", 0.3, None),
    ("u1", "y1", 0.6, "g"), ("w1", "u1", 0.4, "g"),
]  # fmt: skip


def scored(rows: list[tuple[str, str, float, str | None]], people: dict[str, str]) -> tuple[pa.Table, PairSet]:
    named = [
        {
            "protocol": "test",
            "fold": i % 2,
            "image_a": a,
            "image_b": b,
            "genuine": people[a] == people[b],
            "group": group,
        }
        for i, (a, b, _, group) in enumerate(rows)
    ]
    pairs = table_from_rows(named, PAIRS)
    table = score_table(
        pairs, {"cosine:net": [row[2] for row in rows]}, {"cosine:net": ScoreColumn("cosine", True, True)}
    )
    texts = Texts(pa.array(list(people))), Texts(pa.array(list(people.values())))
    return table, PairSet(pairs, {}, {}, *texts)


def calibration(threshold: float = 0.5) -> dict[str, Calibration]:
    labels = np.arange(40) % 2 == 0
    values = np.where(labels, 0.8, 0.2) + np.linspace(-0.3, 0.3, 40)
    return {"cosine:net": fit_calibration(values, labels, "val").at_threshold(threshold)}


def rows_by_hand(attribute: str = "origin", calibrations: dict[str, Calibration] | None = None) -> dict[str, Row]:
    table, pairs = scored(BY_HAND, {image: person for image, (person, _) in IMAGES.items()})
    values = {image: group for image, (_, group) in IMAGES.items() if group is not None}
    attributes = {attribute: values if attribute == "origin" else {}}
    used = calibration() if calibrations is None else calibrations
    rows = group_rows(table, pairs, attributes, used, [0.5, 0.01])
    assert all(set(row) == set(group_columns([0.5, 0.01])) for row in rows)
    return {row["group"]: row for row in rows}


def test_golden_rates_by_group() -> None:
    rows = rows_by_hand()
    assert list(rows) == ["x", "y", ACROSS, UNKNOWN]
    x = rows["x"]
    assert (x["num_genuine"], x["num_impostor"], x["num_people"]) == (2, 2, 2)
    assert (x["accuracy"], x["fmr"], x["fnmr"], x["note"]) == (0.5, 0.5, 0.5, "")
    # Impostor pairs: 0.7, 0.6, 0.4, 0.3, 0.1; at a FAR of 0.5 two of five are above, from 0.6 on.
    assert (x["tar@0.5"], x["tar@0.01"]) == (0.5, None)
    assert rows[ACROSS]["fmr"] == 1.0
    assert rows[UNKNOWN]["fmr"] == 0.0


def test_a_group_with_one_class_says_so() -> None:
    y = rows_by_hand()["y"]
    assert (y["accuracy"], y["fmr"], y["fnmr"], y["tar@0.5"]) == (None, 0.0, None, None)
    assert (y["note"], y["told"]) == ("impostor pairs only", "")


def test_the_pairs_own_groups() -> None:
    rows = rows_by_hand("group")
    assert list(rows) == ["f", "g", UNKNOWN]
    assert (rows["f"]["note"], rows["f"]["fnmr"]) == ("genuine pairs only", 0.5)
    assert rows["g"]["num_impostor"] == 4


def test_without_a_calibration_there_is_no_rate_at_its_threshold() -> None:
    x = rows_by_hand(calibrations={})["x"]
    assert (x["accuracy"], x["fmr"], x["fnmr"], x["tar@0.5"], x["told"]) == (None, None, None, 0.5, "")


def test_a_protocol_of_which_nothing_is_known_has_no_rows() -> None:
    table, pairs = scored(BY_HAND, {image: person for image, (person, _) in IMAGES.items()})
    assert group_rows(table, pairs, {"origin": {}}, calibration(), [0.1]) == []


def test_a_template_is_of_the_group_of_all_its_images() -> None:
    people = {image: person for image, (person, _) in IMAGES.items()}
    rows = [("t1", "t2", 0.9, None), ("t1", "v1", 0.1, None), ("mixed", "v1", 0.2, None)]
    named = [
        {"protocol": "test", "fold": 0, "image_a": a, "image_b": b, "genuine": b == "t2", "group": None}
        for a, b, *_ in rows
    ]
    pairs = table_from_rows(named, PAIRS)
    templates = {"t1": {"u1": 1.0}, "t2": {"u1": 0.5, "u2": 0.5}, "mixed": {"u1": 0.5, "y1": 0.5}}
    texts = Texts(pa.array(list(people))), Texts(pa.array(list(people.values())))
    table = score_table(
        pairs, {"cosine:net": [row[2] for row in rows]}, {"cosine:net": ScoreColumn("cosine", True, True)}
    )
    values = {image: group for image, (_, group) in IMAGES.items() if group is not None}
    found = group_rows(table, PairSet(pairs, {}, templates, *texts), {"origin": values}, calibration(), [0.1])
    assert [(row["group"], row["num_genuine"], row["num_impostor"]) for row in found] == [("x", 1, 1), (UNKNOWN, 0, 1)]


def many(seed: int = 0) -> tuple[pa.Table, PairSet, dict[str, str]]:
    """60 people of three groups, the third of six people only; 4 images each, all genuine pairs and 6,000 impostor pairs."""
    rng = np.random.default_rng(seed)
    people = {f"p{i}n{j}": f"p{i}" for i in range(60) for j in range(4)}
    group_of = {image: "small" if int(who[1:]) < 6 else "ab"[int(who[1:]) % 2] for image, who in people.items()}
    images = list(people)
    rows = [
        (a, b, rng.normal(0.7, 0.2), None) for i, a in enumerate(images) for b in images[:i] if people[a] == people[b]
    ]
    while len(rows) < 6360:
        a, b = rng.choice(images, 2, replace=False).tolist()
        if people[a] != people[b]:
            rows.append((a, b, rng.normal(0.4 if group_of[a] == group_of[b] == "a" else 0.3, 0.15), None))
    return *scored(rows, people), group_of


def test_a_loop_finds_the_same_and_small_groups_are_not_told() -> None:
    table, pairs, group_of = many()
    rows = {row["group"]: row for row in group_rows(table, pairs, {"g": group_of}, calibration(), [0.1])}
    listed = list(
        zip(*(table[name].to_pylist() for name in ("image_a", "image_b", "genuine", "cosine:net")), strict=True)
    )
    impostors = sorted((score for *_, genuine, score in listed if not genuine), reverse=True)
    for name in ("a", "b", "small"):
        own = [row for row in listed if group_of[row[0]] == group_of[row[1]] == name]
        genuine, wrong = ([row for row in own if row[2] == is_genuine] for is_genuine in (True, False))
        assert rows[name]["fmr"] == sum(row[3] > 0.5 for row in wrong) / len(wrong)
        assert rows[name]["fnmr"] == sum(row[3] <= 0.5 for row in genuine) / len(genuine)
        assert rows[name]["tar@0.1"] == sum(row[3] >= impostors[599] for row in genuine) / len(genuine)
        assert rows[name]["num_people"] == (6 if name == "small" else 27)
    # Of 162 genuine pairs of a some 26 errors are to be expected: too few; of over a thousand impostor pairs some 140.
    assert (rows["a"]["told"], rows["b"]["told"], rows["small"]["told"]) == ("fmr", "fmr", "")
    assert rows[ACROSS]["num_impostor"] == sum(group_of[row[0]] != group_of[row[1]] for row in listed)
    spread = spreads(list(rows.values()))["test", "cosine:net"]
    assert spread == {
        "fmr_spread_by_g": rows["a"]["fmr"] - rows["b"]["fmr"],
        "fmr_ratio_by_g": rows["a"]["fmr"] / rows["b"]["fmr"],
    }


def test_many_errors_of_few_people_are_not_told() -> None:
    table, pairs, _ = many()
    few = {f"p{i}n{j}": "few" if i < 19 else "many" for i in range(60) for j in range(4)}
    rows = {row["group"]: row for row in group_rows(table, pairs, {"g": few}, calibration(0.3), [0.1])}
    assert [(rows[name]["num_people"], rows[name]["told"]) for name in ("few", "many")] == [(19, ""), (41, "fmr")]
    assert rows["few"]["fmr"] * rows["few"]["num_impostor"] > 100


def test_no_ratio_to_nothing_and_no_spread_of_one_group() -> None:
    row = {"protocol": "p", "score": "s", "attribute": "g", "accuracy": 0.9, "fnmr": 0.1, "told": "fmr fnmr"}
    rows = [{**row, "group": name, "fmr": fmr} for name, fmr in (("a", 0.0), ("b", 0.25), (ACROSS, 0.5))]
    assert spreads(rows) == {
        ("p", "s"): {"accuracy_spread_by_g": 0.0, "fmr_spread_by_g": 0.25, "fnmr_spread_by_g": 0.0}
    }
    assert spreads(rows[1:]) == {}


def test_attributes_of_the_manifest_and_of_the_user(tmp_path: Path) -> None:
    photos = [{"image_id": "a", "view": "frontal", "width": 9}, {"image_id": "b", "view": None, "width": 8}]
    write_table(tmp_path / "manifest.parquet", table_from_rows(photos, MANIFEST), MANIFEST)
    said = [{"image_id": "b", "name": "origin", "value": "x"}]
    write_table(tmp_path / "attributes.parquet", table_from_rows(said, ATTRIBUTES), ATTRIBUTES)
    files = tmp_path / "manifest.parquet", tmp_path / "attributes.parquet"
    assert read_attributes(["view", "width", "origin", "group"], *files) == {
        "view": {"a": "frontal"},
        "width": {"a": "9", "b": "8"},
        "origin": {"b": "x"},
        "group": {},
    }
    assert read_attributes([], tmp_path / "absent", tmp_path / "absent") == {}
    for name in ("landmarks", "age"):
        with pytest.raises(
            DataError, match=rf"no such attribute[\s\S]*{name}[\s\S]*view[\s\S]*origin[\s\S]*verify\.groups"
        ):
            read_attributes([name], *files)
