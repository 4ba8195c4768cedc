"""The settings of heads: every kind has its own, refuses those of others, and reads them from params."""

import pytest
from pydantic import ValidationError

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import load_kind
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.settings import HEADS, HeadSettings, head_settings
from pipeline_lib.params.networks import Head, Network
from tests.networks.heads.some_heads import KINDS, settings

VALUES = {"gradient": "exact", "h": 0.5, "t_alpha": 0.1, "margin_std": 0.01, "negative_weight": 2.0, "r": 0.5}
OWN = {
    "arcface": {"gradient"},
    "cosface": set(),
    "normface": set(),
    "adaface": {"h", "t_alpha"},
    "curricularface": {"t_alpha"},
    "elasticface_arc": {"margin_std"},
    "elasticface_cos": {"margin_std"},
    "uniface": {"negative_weight", "r"},
}


def test_kinds_and_their_own_settings() -> None:
    own = {
        kind: set(load_kind(HEADS, kind, "here").Settings.model_fields) - set(HeadSettings.model_fields)
        for kind in KINDS
    }
    assert own == OWN
    assert all(load_kind(HEADS, kind, "here").Settings.model_fields["kind"].default == kind for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("key", VALUES)
def test_a_setting_of_another_kind_is_refused_by_name(kind: str, key: str) -> None:
    if key in OWN[kind]:
        head = build_head(settings(kind, 8.0, 0.0, **{key: VALUES[key]}), 4, 3)
        assert getattr(head, key, VALUES[key]) == VALUES[key]
        default = build_head(settings(kind, 8.0, 0.0), 4, 3)
        assert key == "r" or getattr(default, key) != VALUES[key]
    else:
        with pytest.raises(ParamsError, match=rf"{key}: Extra inputs are not permitted[\s\S]*params\.yaml, head"):
            settings(kind, 8.0, 0.0, **{key: VALUES[key]})


def test_no_head_has_no_settings_and_is_for_what_is_not_trained() -> None:
    assert head_settings(Head(kind="none"), "here").kind == "none"
    with pytest.raises(ParamsError, match="scale"):
        head_settings(Head(kind="none", scale=8.0), "here")
    for epochs, kind in ((1, "none"), (0, "arcface")):
        with pytest.raises(ValidationError, match=f"epochs {epochs} and head {kind}"):
            Network(arch="iresnet", epochs=epochs, head=Head(kind=kind), checkpoint="data/none")


def test_distillation_has_no_classes_and_is_for_a_teacher() -> None:
    section = Head(kind="distillation", relations=0.5)
    assert build_head(head_settings(section, "here"), 4, 3).num_classes is None
    for wrong in ({"scale": 8.0}, {"relations": -1.0}):
        with pytest.raises(ParamsError, match=f"{next(iter(wrong))}[\\s\\S]*here"):
            head_settings(Head(kind="distillation", **wrong), "here")
    keys = {"arch": "iresnet", "epochs": 1, "checkpoint": "data/none"}
    assert Network(**keys, head=section, teacher="dlib").teacher == "dlib"
    labelled = Head(kind="arcface", scale=8.0, margin=0.1)
    for head, teacher in ((section, "none"), (labelled, "dlib")):
        with pytest.raises(ValidationError, match=f"teacher {teacher} and head {head.kind}"):
            Network(**keys, head=head, teacher=teacher)
