"""Whose calibration the registered model has: its own, or, of too few validation pairs, the package's."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_networks import tiny_network

from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.core.texts import as_texts
from pipeline_lib.delivery.registry import choice
from pipeline_lib.delivery.registry.choice import MIN_PAIRS, MIN_PEOPLE, Choice, choose, too_few
from pipeline_lib.delivery.verifier import shipped_calibration as shipped
from pipeline_lib.matching.scores.cosine import Cosine
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table, write_scores
from pipeline_lib.matching.verification.calibration import Calibration, write_calibrations
from pipeline_lib.matching.verification.impostors import Impostors, impostor_scores
from pipeline_lib.networks.backbones.dlib_resnet import Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network, save_network
from pipeline_lib.schemas.pairs import PAIRS

PACKAGED, OTHER = "cosine:dlib_resnet", "cosine:iresnet"
OWN = Calibration(0.3, 10.0, -3.0, "val", 10, 0.9, 0.8, 0.5, "even odds", impostor_scores([0.1, 0.2]))
OWN_IMPOSTORS = Impostors(100, (0, 50), (0.9, 0.1), 10, 10)


def made_pairs(num_people: int, num_genuine: int, num_impostor: int) -> PairSet:
    """So many pairs of so many people, in turn; two photographs each."""
    images = {f"{person}_{photo}": str(person) for person in range(num_people) for photo in range(2)}
    people = [n % num_people for n in range(max(num_genuine, num_impostor))]
    named = [(f"{n}_0", f"{n}_1", True) for n in people[:num_genuine]]
    named += [(f"{n}_0", f"{(n + 1) % num_people}_1", False) for n in people[:num_impostor]]
    named += [("0_0", "0_1", True)] * 99  # of another protocol
    rows = [
        {"protocol": "test" if row >= num_genuine + num_impostor else "val", "fold": 0, "image_a": a, "image_b": b, "genuine": g}
        for row, (a, b, g) in enumerate(named)
    ]  # fmt: skip
    return PairSet(table_from_rows(rows, PAIRS), {}, {}, as_texts(list(images)), as_texts(list(images.values())))


FEW, MANY = made_pairs(3, 9, 9), made_pairs(MIN_PEOPLE, MIN_PAIRS, MIN_PAIRS)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (MANY, ""),
        (FEW, "9 of one person and 9 of two, of 3 people; it takes 30 of each, of 20 people"),
        (made_pairs(MIN_PEOPLE - 1, 99, 99), "99 of one person and 99 of two, of 19 people"),
        (made_pairs(MIN_PEOPLE, MIN_PAIRS - 1, 99), "29 of one person and 99 of two"),
        (made_pairs(MIN_PEOPLE, 99, MIN_PAIRS - 1), "99 of one person and 29 of two"),
    ],
)
def test_how_many_pairs_and_people_it_takes(pairs: PairSet, words: str) -> None:
    assert too_few(pairs).startswith(words)
    assert bool(too_few(pairs)) == bool(words)


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Choice | None]:
    """choose() on a rebuild of two networks, of which iresnet is the better one on the validation pairs."""
    save_network(tmp_path / "networks" / "dlib_resnet", initial_network(Spec(), 0, None))
    save_network(tmp_path / "networks" / "iresnet", tiny_network("iresnet"))
    scorers = {PACKAGED: Cosine("dlib_resnet"), OTHER: Cosine("iresnet")}
    monkeypatch.setattr(choice, "servable", lambda data: scorers)
    monkeypatch.setattr(choice, "impostors_of", lambda column, data, protocols: OWN_IMPOSTORS)

    def chosen(pairs: PairSet, candidates: str | list[str] = "auto") -> Choice | None:
        genuine, rng = pairs.table["genuine"].to_numpy(), np.random.default_rng(1)
        values = {name: 3.0 * genuine + rng.normal(size=len(genuine)) for name in scorers}
        columns = {name: ScoreColumn("cosine", True, True) for name in scorers}
        (tmp_path / "verify").mkdir(exist_ok=True)
        write_scores(tmp_path / "verify" / "scores.parquet", score_table(pairs.table, values, columns))
        write_calibrations(tmp_path / "verify" / "calibration.json", dict.fromkeys(scorers, OWN))
        figures = {PACKAGED: {"auc": 0.8}, OTHER: {"auc": 0.9}}
        (tmp_path / "verify" / "metrics.json").write_text(json.dumps({"val": figures}))
        return choose(candidates, tmp_path, pairs)

    return chosen


def test_of_many_pairs_the_best_with_its_own_calibration(chosen: Callable[..., Choice]) -> None:
    found = chosen(MANY)
    assert (found.column, found.calibration, found.impostors, found.note) == (OTHER, OWN, OWN_IMPOSTORS, "")
    assert "on the validation pairs" in found.lead.words


@pytest.mark.parametrize("candidates", ["auto", [OTHER, PACKAGED]])
def test_of_few_pairs_the_published_network_with_the_package_s(
    chosen: Callable[..., Choice], candidates: str | list[str]
) -> None:
    found = chosen(FEW, candidates)
    assert (found.column, found.calibration, found.lead.is_sure) == (PACKAGED, shipped.calibration(), True)
    assert found.impostors == shipped.impostors() is not None
    assert "9 of one person and 9 of two, of 3 people" in found.note
    assert shipped.basis() in found.note
    assert "LFW" in found.lead.words


def test_who_names_another_candidate_gets_it(chosen: Callable[..., Choice]) -> None:
    found = chosen(FEW, [OTHER])
    assert (found.column, found.calibration, found.note) == (OTHER, OWN, "")
    assert not found.lead.is_sure


def test_a_network_of_that_name_with_other_weights_has_its_own(chosen: Callable[..., Choice], tmp_path: Path) -> None:
    folder = tmp_path / "networks" / "dlib_resnet"
    assert shipped.is_published(folder)
    save_network(folder, build_network(Spec(published=False), 0))
    assert not shipped.is_published(folder)
    assert chosen(FEW).note == ""
    save_network(folder, tiny_network("iresnet"))
    assert not shipped.is_published(folder)
