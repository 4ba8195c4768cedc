"""Networks that forget layer by layer, and which maps notice."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import read_table
from pipeline_lib.networks.backbones.shared.build import build_over
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.over import xcos
from pipeline_lib.params.section import Section
from pipeline_lib.schemas.sanity import SANITY
from pipeline_lib.why.explanation import random, xssab
from pipeline_lib.why.explanation import xcos as xcos_map
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, SampledPair
from pipeline_lib.why.faithfulness.sanity import MAX_PAIRS, SAME, Sanity
from pipeline_lib.why.faithfulness.shuffled import NUM_STEPS, cascade


def pair(number=0, is_shown=True):
    return SampledPair("lfw", f"a{number}", f"b{number}", "p", "q", False, number, True, is_shown, 0)


def states(network, steps=NUM_STEPS):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = []
    for names, shuffled, _ in cascade(network, None, np.random.default_rng(0)):
        changed = {name for name, value in shuffled.state_dict().items() if not torch.equal(value, before[name])}
        found.append((names, changed))
        for name, value in shuffled.state_dict().items():
            assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values), name
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())  # itself left alone
    return found


@pytest.mark.parametrize(("name", "inside"), [("iresnet", ""), ("rrfnet56", "backbone.")])
def test_layers_are_shuffled_from_the_top_and_stay_so(network_named, name, inside):
    network = network_named(name)
    with torch.no_grad():  # an untrained normalisation is flat, and a flat tensor has but one order
        for value in network.state_dict().values():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 0.5)
    found = states(network)
    assert len(found) == NUM_STEPS
    assert found[0][0].split(", ")[0] == "features"
    assert found[-1][0].split(", ")[-1] == "conv1"
    layers = ", ".join(names for names, _ in found).split(", ")
    assert layers == ["features", "fc", "bn2", "layer4", "layer3", "layer2", "layer1", "prelu", "bn1", "conv1"]
    for step, (_, changed) in enumerate(found):
        so_far = ", ".join(names for names, _ in found[: step + 1]).split(", ")
        assert {key.removeprefix(inside).split(".")[0] for key in changed} == set(so_far)


@pytest.mark.parametrize("fold", [False, True], ids=["as it is", "folded"])
def test_a_network_over_another_stands_on_the_shuffled_one(network_named, fold):
    """The stage folds the network that is explained, not what stands over it."""
    below = network_named("iresnet")
    over = build_over(xcos.Settings(over=("iresnet",), channels=8), {"iresnet": below}, seed=2).eval()
    kept = {name: value.clone() for name, value in over.state_dict().items()}
    explained = folded(below) if fold else below
    for _, network, beside in cascade(explained, over, np.random.default_rng(0)):
        assert beside.frozen["iresnet"] is network
        own = beside.state_dict()
        assert all(torch.equal(own[name], value) for name, value in kept.items() if not name.startswith("frozen."))
    assert not torch.equal(network.fc.weight, below.fc.weight)
    assert all(torch.equal(over.state_dict()[name], value) for name, value in kept.items())


def test_xcos_of_a_shuffled_network_is_explained(network_named, faces, tmp_path):
    below = network_named("iresnet")
    over = build_over(xcos.Settings(over=("iresnet",), channels=8), {"iresnet": below}, seed=2).eval()
    embedder = Embedder(folded(below), False, 8, threshold=0.2, beside=over)
    measure = Sanity("m", Explainer(xcos_map, xcos_map.Settings(map="cosine"), embedder))
    found_faces, found = Explainer(xcos_map, xcos_map.Settings(map="cosine"), embedder)(faces, np.random.default_rng(0))
    measure.add(SampledPair("lfw", "a", "b", "p", "q", False, 0, True, True, 0), found_faces, found)
    assert measure.write(tmp_path)["sanity_unchanged"] == 0.0


def measured(kind, network, faces, tmp_path, settings=None, num_pairs=1):
    embedder = Embedder(network, False, 8, threshold=0.2)
    explain = Explainer(kind, kind.Settings() if settings is None else settings, embedder)
    sanity = Sanity("own", explain)
    for number in range(num_pairs):
        one = pair(number, is_shown=number != 1)
        sanity.add(one, *explain(faces, one.rng(EXPLANATION)))
    return sanity.write(tmp_path), read_table(tmp_path / "sanity.parquet", SANITY).to_pylist()


def test_a_map_that_looks_at_no_network_is_flagged(network_named, faces, tmp_path):
    figures, rows = measured(random, network_named("rrfnet56"), faces, tmp_path)
    assert figures == pytest.approx({"sanity_correlation": 1.0, "sanity_unchanged": 1.0})
    assert rows[0]["correlations"] == pytest.approx([1.0] * NUM_STEPS)


@pytest.mark.parametrize("name", ["rrfnet56", "iresnet"])
def test_a_map_of_the_network_is_not_and_is_measured_the_same_twice(name, network_named, faces, tmp_path):
    figures, rows = measured(xssab, network_named(name), faces, tmp_path)
    assert figures["sanity_unchanged"] == 0.0
    assert figures["sanity_correlation"] == pytest.approx(rows[0]["correlations"][-1])
    assert figures["sanity_correlation"] < SAME
    assert measured(xssab, network_named(name), faces, tmp_path) == (figures, rows)


def test_only_the_first_shown_pairs_are_measured(network_named, faces, tmp_path):
    _, rows = measured(random, network_named("rrfnet56"), faces, tmp_path, num_pairs=MAX_PAIRS + 3)
    assert [row["image_a"] for row in rows] == ["a0", *(f"a{number}" for number in range(2, MAX_PAIRS + 1))]


def test_a_shuffled_network_that_gives_no_map_leaves_a_gap(network_named, faces, tmp_path):
    class Fragile:
        REQUIRES = "embeddings"
        Settings = Section
        calls = 0

        @classmethod
        def explain(cls, network, faces, settings, rng):
            cls.calls += 1
            if cls.calls == 3:
                raise DataError("An embedding has no direction.")
            return random.explain(network, faces, settings, rng)

    _, rows = measured(Fragile, network_named("iresnet"), faces, tmp_path)
    assert [value is None for value in rows[0]["correlations"]] == [False, True, False, False, False]


def test_without_a_shown_pair_there_is_no_figure(network_named, faces, tmp_path):
    assert Sanity("own", None).write(tmp_path) == {}
    assert read_table(tmp_path / "sanity.parquet", SANITY).num_rows == 0
