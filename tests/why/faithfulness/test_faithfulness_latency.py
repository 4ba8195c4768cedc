"""What a pair costs, as it is written down."""

import pytest

from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.schemas.latency import LATENCY
from pipeline_lib.why.explanation import random, xssab
from pipeline_lib.why.explanation.shared import explainer
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explainer import Cost, Explainer
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, SampledPair
from pipeline_lib.why.faithfulness.latency import Latency

PAIR = SampledPair("lfw", "a", "b", "p", "q", False, 0, True, True, 0)


def test_medians_worked_by_hand(tmp_path):
    class Given:
        cost = None

    given = Given()
    measure = Latency("own", given)
    for cost in (Cost(1.0, 9.0, 4, 8), Cost(2.0, 1.0, 4, 8), Cost(4.0, 2.0, 6, 8)):
        given.cost = cost
        measure.add(PAIR, None, None)
    assert measure.write(tmp_path) == {}
    assert read_json(tmp_path / "latency.json") == {
        "embedding_s": 2.0, "method_s": 2.0, "num_forward": 4, "num_backward": 8, "pair_s": 6.0,
    }  # fmt: skip
    table = read_table(tmp_path / "latency.parquet", LATENCY)
    assert table["method_s"].to_pylist() == [9.0, 1.0, 2.0]
    assert table["identity_b"].to_pylist() == ["q"] * 3


def test_the_two_steps_are_timed_apart_and_passes_counted(network_named, faces, mirror, monkeypatch):
    ticks = iter([1.0, 3.0, 10.0] * 2)
    monkeypatch.setattr(explainer.time, "perf_counter", lambda: next(ticks))
    embedder = Embedder(network_named("iresnet"), mirror, 8, threshold=0.1)
    each = 2 * (1 + mirror)
    explain = Explainer(random, random.Settings(), embedder)
    explain(faces, PAIR.rng(EXPLANATION))
    assert explain.cost == pytest.approx((2.0, 7.0, each, 0))
    explain = Explainer(xssab, xssab.Settings(), embedder)
    explain(faces, PAIR.rng(EXPLANATION))
    assert explain.cost == pytest.approx((2.0, 7.0, 2 * each, 2 * each))
