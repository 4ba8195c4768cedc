"""Class weights out of a head, onto disk and back."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.networks.heads import arcface, distillation, none, uniface
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.class_weights import class_weights, read_class_weights, save_class_weights
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC

NAMES = ["al", "bo", "cy"]


@pytest.mark.parametrize("settings", [arcface.Settings(scale=8.0, margin=0.3), uniface.Settings(scale=8.0, margin=0.3)])
def test_a_heads_own(settings: arcface.Settings) -> None:
    head = build_head(settings, 5, 3)
    found = class_weights(head, NAMES)
    assert found is not None
    np.testing.assert_array_equal(found.weights, head.weight.detach().numpy())
    head.weight.data.zero_()
    assert found.weights.any()  # a copy
    assert (found.identities, found.scale) == (NAMES, 8.0)


def test_sampled_heads_have_all_of_them() -> None:
    head = PartialFC(arcface.Settings(scale=8.0, margin=0.3), 5, 3, 0.4)
    found = class_weights(head, NAMES)
    assert found is not None
    np.testing.assert_array_equal(found.weights, head.weight.numpy())


def test_an_objective_without_classes_has_none() -> None:
    assert class_weights(build_head(distillation.Settings(), 5, 3), NAMES) is None
    assert class_weights(build_head(none.Settings(), 5, 3), NAMES) is None


def test_files(tmp_path: Path) -> None:
    found = class_weights(build_head(arcface.Settings(scale=8.0, margin=0.3), 5, 3), NAMES)
    assert found is not None
    for name in ("a", "b"):
        save_class_weights(tmp_path / name, found)
    again = read_class_weights(tmp_path / "a")
    np.testing.assert_array_equal(again.weights, found.weights)
    assert (again.identities, again.scale) == (NAMES, 8.0)
    for file in ("classes.safetensors", "classes.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    with pytest.raises(CheckpointError, match="no class weights"):
        read_class_weights(tmp_path)
    (tmp_path / "b/classes.json").write_text(json.dumps({"identities": NAMES}))
    with pytest.raises(CheckpointError, match=r"damaged[\s\S]*scale"):
        read_class_weights(tmp_path / "b")
