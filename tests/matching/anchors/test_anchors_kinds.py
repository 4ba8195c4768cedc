"""Real anchors and class weights, and the keys of every kind."""

from pathlib import Path

import numpy as np
import pytest
import torch
from some_anchors import entry, find

from pipeline_lib.core.errors import CheckpointError, DataError, ParamsError
from pipeline_lib.core.kinds import kind_names
from pipeline_lib.matching.anchors.class_weights import own_class
from pipeline_lib.matching.anchors.shared.settings import anchor_kind
from pipeline_lib.networks.heads.shared.class_weights import ClassWeights, save_class_weights

IDENTITIES = ["bo", "al", "bo", "cy", "al"]
RNG = np.random.default_rng(5)


def test_real_anchors_are_one_image_an_identity_and_follow_the_seed():
    found = [find(entry("real", seed=seed), Path(), IDENTITIES) for seed in range(20)]
    for one in found:
        assert sorted(one.identities) == ["al", "bo", "cy"]
        rows = [int(name.removeprefix("im")) for name in one.image_ids]
        assert [IDENTITIES[row] for row in rows] == one.identities
        np.testing.assert_array_equal(one.vectors.argmax(axis=1), rows)
    assert len({tuple(one.image_ids) for one in found}) == 4  # two images of al times two of bo
    assert find(entry("real", seed=3), Path(), IDENTITIES).image_ids == found[3].image_ids


def test_the_cap_keeps_different_identities_at_different_seeds():
    kept = [find(entry("real", max_anchors=2, num_neighbours=1, seed=seed), Path(), IDENTITIES) for seed in range(20)]
    assert {len(one.identities) for one in kept} == {2}
    assert {name for one in kept for name in one.identities} == {"al", "bo", "cy"}
    with pytest.raises(DataError, match="No image"):
        find(entry("real"), Path())


def save_classes(folder: Path, weights: np.ndarray, scale: float = 8.0) -> ClassWeights:
    classes = ClassWeights(weights.astype(np.float32), ["al", "bo", "cy"][: len(weights)], scale)
    save_class_weights(folder, classes)
    return classes


def test_class_weights_are_named_by_their_training_identity(tmp_path):
    classes = save_classes(tmp_path, RNG.normal(size=(3, 5)))
    found = find(entry("class_weights"), tmp_path, IDENTITIES)
    assert found.identities == ["al", "bo", "cy"]
    np.testing.assert_array_equal(found.vectors, classes.weights)
    kept = find(entry("class_weights", max_anchors=2, num_neighbours=1), tmp_path, IDENTITIES)
    assert len(kept.identities) == 2
    np.testing.assert_array_equal(kept.own_class.probabilities, found.own_class.probabilities)  # of all classes


def test_own_cosine_and_probability_by_hand_and_by_torch():
    # Weights at 0 and 90 degrees, the face at 0: cosines 1 and 0, p = e^s / (e^s + 1).
    by_hand = own_class(
        np.array([[2.0, 0.0]]), ["al"], ClassWeights(np.eye(2, dtype=np.float32) * 3, ["al", "bo"], 2.0)
    )
    assert by_hand.cosines.tolist() == [1.0]
    assert by_hand.probabilities[0] == pytest.approx(np.exp(2) / (np.exp(2) + 1), rel=1e-6)
    vectors, weights = RNG.normal(size=(1500, 5)), RNG.normal(size=(3, 5)).astype(np.float32)  # two blocks
    names = [["al", "bo", "cy"][row % 3] for row in range(1500)]
    found = own_class(vectors, names, ClassWeights(weights, ["al", "bo", "cy"], 64.0))
    directions = torch.nn.functional.normalize(torch.from_numpy(vectors))
    logits = 64 * directions @ torch.nn.functional.normalize(torch.from_numpy(weights).double()).T
    rows, own = torch.arange(1500), torch.arange(1500) % 3
    np.testing.assert_allclose(found.cosines, logits[rows, own] / 64, rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        found.probabilities, logits.softmax(dim=1)[rows, own], rtol=1e-3, atol=1e-12
    )  # s times 1e-6


def test_what_class_weights_are_refused_for(tmp_path):
    with pytest.raises(CheckpointError, match=r"no class weights[\s\S]*another kind"):
        find(entry("class_weights"), tmp_path / "imported", IDENTITIES)
    save_classes(tmp_path / "other", RNG.normal(size=(3, 4)))
    with pytest.raises(DataError, match=r"differ in dimension[\s\S]*4 a class[\s\S]*5"):
        find(entry("class_weights"), tmp_path / "other", IDENTITIES)
    save_classes(tmp_path / "two", RNG.normal(size=(2, 5)))
    with pytest.raises(DataError, match=r"no class weight[\s\S]*cy"):
        find(entry("class_weights"), tmp_path / "two", IDENTITIES)
    (tmp_path / "two/classes.json").write_text('{"identities": ["al"], "scale": 1.0}')
    with pytest.raises(CheckpointError, match=r"damaged[\s\S]*\(2, 5\), 1 identities"):
        find(entry("class_weights"), tmp_path / "two", IDENTITIES)
    (tmp_path / "two/classes.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="damaged"):
        find(entry("class_weights"), tmp_path / "two", IDENTITIES)


@pytest.mark.parametrize("kind", ["real", "class_weights"])
def test_kinds_that_read_no_file_refuse_one(kind):
    with pytest.raises(ParamsError, match=r"from is some/folder; this kind reads no file"):
        anchor_kind(entry(kind, "some/folder"), "params.yaml")


@pytest.mark.parametrize("kind", ["folder", "generated"])
def test_kinds_of_a_file_want_one(kind):
    with pytest.raises(ParamsError, match="from is missing"):
        anchor_kind(entry(kind), "params.yaml")


def test_kinds_and_keys_are_known_by_name():
    assert kind_names("matching.anchors") == ["class_weights", "folder", "generated", "real"]
    with pytest.raises(ParamsError, match=r"no such kind[\s\S]*class_weights, folder, generated, real"):
        anchor_kind(entry("fake"), "params.yaml")
    with pytest.raises(ParamsError, match=r"latent_dim: Extra"):
        anchor_kind(entry("real", latent_dim=3), "params.yaml")
