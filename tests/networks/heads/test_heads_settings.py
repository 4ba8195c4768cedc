"""The settings of heads: which belong to which kind, in params.yaml and without pydantic alike."""

import dataclasses
from typing import get_args

import pytest
from pydantic import ValidationError

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.heads.shared.build import HEADS, OWN_SETTINGS, HeadSettings, build_head
from pipeline_lib.params.load import Head

VALUES = {"gradient": "exact", "h": 0.5, "t_alpha": 0.1, "margin_std": 0.01, "negative_weight": 2.0, "r": 0.5}


def test_both_know_the_same_kinds_and_settings() -> None:
    assert set(get_args(Head.model_fields["kind"].annotation)) == set(HEADS)
    assert list(Head.model_fields) == [field.name for field in dataclasses.fields(HeadSettings)]
    assert list(Head.model_fields) == ["kind", "scale", "margin", *OWN_SETTINGS]
    assert {key for _, own in HEADS.values() for key in own} == set(OWN_SETTINGS) == set(VALUES)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("key", OWN_SETTINGS)
def test_a_setting_of_another_kind_is_refused_by_name(kind: str, key: str) -> None:
    values = {"kind": kind, "scale": 8.0, "margin": 0.0, key: VALUES[key]}
    if key in HEADS[kind][1]:
        head = build_head(HeadSettings(**dict(Head(**values))), 4, 3)
        assert getattr(head, key, VALUES[key]) == VALUES[key]
        default = build_head(HeadSettings(kind, 8.0, 0.0), 4, 3)
        assert key == "r" or getattr(default, key) != VALUES[key]
    else:
        with pytest.raises(ValidationError, match=f"{key} belongs to kind .*, not to {kind}"):
            Head(**values)
        with pytest.raises(ParamsError, match=f"{kind} has no {key}"):
            build_head(HeadSettings(**values), 4, 3)


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("adaface", "h", 0.0),
        ("adaface", "t_alpha", 1.5),
        ("elasticface_arc", "margin_std", -0.1),
        ("uniface", "negative_weight", 0.0),
        ("uniface", "r", 2.0),
    ],
)
def test_a_value_out_of_range_is_refused_in_params(kind: str, key: str, value: float) -> None:
    with pytest.raises(ValidationError, match=key):
        Head(kind=kind, scale=8.0, margin=0.1, **{key: value})
