"""What a candidate must show before it answers as champion."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.core.texts import as_texts
from pipeline_lib.delivery.registry.floor import lead_over_pixels
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table
from pipeline_lib.schemas.pairs import PAIRS

NUM_PEOPLE, NUM_IMAGES = 15, 4


def made_pairs(num_people: int = NUM_PEOPLE) -> PairSet:
    """All genuine pairs of some people, as many impostor pairs, and two pairs of another protocol."""
    people = {f"{person}_{image}": str(person) for person in range(num_people) for image in range(NUM_IMAGES)}
    names = list(people)
    pairs = [(a, b) for row, a in enumerate(names) for b in names[row + 1 :]]
    genuine = [(a, b) for a, b in pairs if people[a] == people[b]]
    impostor = [(a, b) for a, b in pairs if people[a] != people[b]]
    drawn = np.random.default_rng(0).choice(len(impostor), min(len(genuine), len(impostor)), replace=False)
    named = [("val", pair) for pair in [*genuine, *(impostor[row] for row in drawn)]]
    named += [("test", genuine[0]), ("test", impostor[0])]
    rows = [
        {"protocol": protocol, "fold": 0, "image_a": a, "image_b": b, "genuine": people[a] == people[b]}
        for protocol, (a, b) in named
    ]
    return PairSet(table_from_rows(rows, PAIRS), {}, {}, as_texts(list(people)), as_texts(list(people.values())))


def scored(pairs: PairSet, **shifts: float) -> pa.Table:
    """A column a shift: how far the genuine pairs' normal scores lie above the impostor pairs', in standard deviations."""
    genuine, rng = pairs.table["genuine"].to_numpy(), np.random.default_rng(1)
    values = {name: shift * genuine + rng.normal(size=len(genuine)) for name, shift in shifts.items()}
    columns = {name: ScoreColumn("raw_pixel" if name == "pixels" else "cosine", False, True) for name in shifts}
    return score_table(pairs.table, values, columns)


def test_a_network_that_beats_pixels_for_sure() -> None:
    pairs = made_pairs()
    lead = lead_over_pixels(scored(pairs, pixels=0.5, net=3.0), "net", pairs)
    assert lead.is_sure
    assert lead.words.startswith("it beats raw pixels (+")
    assert "points of AUC on the validation pairs, 95 %: +" in lead.words


@pytest.mark.parametrize(("pixels", "net"), [(1.0, 1.0), (0.2, 0.0), (2.0, 0.5)])
def test_a_network_that_does_not(pixels: float, net: float) -> None:
    pairs = made_pairs()
    lead = lead_over_pixels(scored(pairs, pixels=pixels, net=net), "net", pairs)
    assert not lead.is_sure
    assert lead.words.startswith("it does not surely beat raw pixels (")


@pytest.mark.parametrize(("net", "words"), [(0.0, "it does not surely beat chance"), (2.0, "it beats chance")])
def test_without_pixels_the_floor_is_chance(net: float, words: str) -> None:
    pairs = made_pairs()
    assert lead_over_pixels(scored(pairs, net=net), "net", pairs).words.startswith(words)


def test_too_few_people_say_nothing() -> None:
    pairs = made_pairs(num_people=2)
    lead = lead_over_pixels(scored(pairs, pixels=0.0, net=9.0), "net", pairs)
    assert not lead.is_sure
    assert "too few people to say whether it beats raw pixels" in lead.words


def test_a_template_is_its_photographs_person() -> None:
    pairs = made_pairs()
    table = pairs.table
    for side in ("image_a", "image_b"):
        names = pa.array([f"template of {image}" for image in table[side].to_pylist()])
        table = table.set_column(table.column_names.index(side), PAIRS.field(side), names)
    templates = {f"template of {image}": {image: 1.0} for image in pairs.image_ids}
    of_templates = PairSet(table, {}, templates, pairs.image_ids, pairs.identities)
    found = lead_over_pixels(scored(of_templates, pixels=0.5, net=3.0), "net", of_templates)
    assert found == lead_over_pixels(scored(pairs, pixels=0.5, net=3.0), "net", pairs)
