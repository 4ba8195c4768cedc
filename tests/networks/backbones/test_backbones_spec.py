"""Specs: what they refuse, their JSON, their reading of params' entries, their words."""

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.networks.backbones import bagnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import BACKBONES, describe, network_spec, spec_from_json
from pipeline_lib.networks.backbones.shared.spec import BLOCK_PRESETS, NetworkSpec
from pipeline_lib.params.networks import Network

VIT = {"depth": 2, "heads": 2, "token_px": 8}
PATCHES = {"side_px": 28, "layout": "all49"}


def section(**fields: Any) -> Network:
    """An entry of `networks`."""
    trained = {"epochs": 3, "head": {"kind": "arcface", "scale": 8.0, "margin": 0.1}, "checkpoint": "data/none"}
    return Network(**{**trained, **fields})


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"arch": "resnet"}, "got: resnet[\\s\\S]*bagnet, dlib_resnet, iresnet, mobilefacenet, vit"),
        ({"arch": "rrfnet"}, "got: rrfnet"),
        ({"arch": "shared"}, "got: shared"),
        ({"arch": "iresnet", "blocks": [1, 1, 1]}, "blocks"),
        ({"arch": "iresnet", "blocks": [1, 1, 0, 1]}, "blocks"),
        ({"arch": "iresnet", "blocks": "r42"}, "blocks: .*r42 is none of r18, r34"),
        ({"arch": "mobilefacenet", "blocks": [1, 1, 1, 1]}, "blocks"),
        ({"arch": "mobilefacenet", "width": 0.5}, "width"),
        ({"arch": "iresnet", "width": 0.0}, "width"),
        ({"arch": "iresnet", "embedding_dim": 0}, "embedding_dim"),
        ({"arch": "iresnet", "mask_share": 0.2}, "mask_share"),
        ({"arch": "iresnet", "patches": {"side_px": 56, "layout": "all49"}}, "patches.layout all49: .*56 px"),
        ({"arch": "iresnet", "input_px": 56}, "input_px"),
        ({"arch": "bagnet", "field_px": 17, "blocks": [1, 1, 1]}, "blocks"),
        ({"arch": "bagnet"}, "field_px"),
        ({"arch": "bagnet", "field_px": 18}, "field_px"),
        ({"arch": "bagnet", "field_px": 33, "patches": PATCHES}, "patches.side_px 28: bagnet needs at least 33 px"),
        ({"arch": "vit", **VIT, "blocks": [1, 1, 1, 1]}, "blocks"),
        ({"arch": "vit", "depth": 2, "heads": 2}, "token_px"),
        ({"arch": "vit", **VIT, "heads": 0}, "heads"),
        ({"arch": "vit", **VIT, "patches": PATCHES}, r"token_px 8: a divisor of 28 px .*\[1, 2, 4, 7, 14, 28\]"),
        ({"arch": "iresnet", "depth": 2}, "depth"),
        ({"arch": "iresnet", "depth": 2, "patches": PATCHES}, "depth"),
    ],
)
def test_impossible_networks_are_refused_by_key_and_place(fields: dict[str, object], key: str) -> None:
    with pytest.raises(ParamsError, match=f"{key}[\\s\\S]*where: params.yaml, networks.x"):
        network_spec(section(**fields), where="params.yaml, networks.x")


@pytest.mark.parametrize(
    "patches",
    [
        {"side_px": 30, "layout": "all9"},
        {"side_px": 56},
        {**PATCHES, "mask_share": 1.0},
        {**PATCHES, "mask_mode": "blur"},
    ],
)
def test_impossible_patches_are_refused(patches: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="patches"):
        section(arch="iresnet", patches=patches)


@pytest.mark.parametrize(
    ("kind", "fields", "key"),
    [
        (bagnet, {"field_px": 17, "input_px": 16}, "input_px 16: bagnet needs at least 17"),
        (bagnet, {"field_px": 33, "input_px": 32}, "input_px 32: bagnet needs at least 33"),
        (iresnet, {"input_px": 4}, "input_px 4: iresnet needs at least 8"),
        (iresnet, {"input_px": 56, "patches": PATCHES}, "input_px 56: patches are cut from faces of 112 px"),
        (vit, {**VIT, "input_px": 28}, "token_px 8"),
    ],
)
def test_inputs_that_the_layers_cannot_take(kind: Any, fields: dict[str, object], key: str) -> None:
    with pytest.raises(ValidationError, match=key):
        kind.Spec(**fields)


@pytest.mark.parametrize(("input_px", "stride"), [(112, 2), (56, 1), (28, 1)])
def test_patches_enter_at_stride_one(input_px: int, stride: int) -> None:
    assert iresnet.Spec(input_px=input_px).first_stride == stride


SPECS = [
    iresnet.Spec(blocks=(1, 2, 3, 4), width=0.5, patches={**PATCHES, "mask_share": 0.4, "mask_mode": "zero"}),
    vit.Spec(depth=20, heads=8, token_px=8),
    bagnet.Spec(field_px=33, blocks="r34"),
    mobilefacenet.Spec(embedding_dim=128),
    vit.Spec(width=0.5, embedding_dim=64, depth=2, heads=4, token_px=7, patches={**PATCHES, "mask_share": 0.4}),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.arch)
def test_json_round_trip(spec: NetworkSpec) -> None:
    assert spec_from_json(spec.to_json(), where="here") == spec


def test_json_of_others_is_refused() -> None:
    fields = SPECS[0].to_json()
    for broken, said in [
        ({name: value for name, value in fields.items() if name != "width"}, r"other fields"),
        ({**fields, "dropout": 0.1}, "dropout"),
        ({**fields, "arch": "resnet"}, "got: resnet"),
        ({**fields, "blocks": None}, "blocks"),
        ({}, "got: None"),
        ([], "not possible"),
    ]:
        with pytest.raises(CheckpointError, match=rf"{said}[\s\S]*where: somewhere"):
            spec_from_json(broken, where="somewhere")


def test_of_patches_is_the_region_network_of_that_size() -> None:
    spec = iresnet.Spec(blocks=(1, 1, 2, 1), width=0.25, embedding_dim=64, patches={"side_px": 56, "layout": "all9"})
    assert spec.of_patches() == iresnet.Spec(blocks=(1, 1, 2, 1), width=0.25, embedding_dim=64, input_px=56)
    spec = vit.Spec(**{**VIT, "token_px": 7}, patches=PATCHES)
    assert spec.of_patches() == vit.Spec(**{**VIT, "token_px": 7}, input_px=28)


def test_reads_a_params_entry() -> None:
    of_iresnet = section(arch="iresnet", blocks=[1, 1, 2, 1], width=0.25, embedding_dim=64)
    expected = iresnet.Spec(blocks=(1, 1, 2, 1), width=0.25, embedding_dim=64, input_px=56)
    assert network_spec(of_iresnet, "here", input_px=56) == expected
    assert network_spec(section(arch="iresnet"), "here") == iresnet.Spec(blocks=(2, 2, 2, 2))
    for name, blocks in BLOCK_PRESETS.items():
        assert network_spec(section(arch="iresnet", blocks=name), "here").blocks == blocks
    assert network_spec(section(arch="vit", **VIT), "here") == vit.Spec(**VIT)
    of_patches = section(arch="mobilefacenet", patches={**PATCHES, "mask_share": 0.4})
    assert network_spec(of_patches, "here") == mobilefacenet.Spec(patches={**PATCHES, "mask_share": 0.4})


def test_every_kind_says_what_it_is() -> None:
    for kind in kind_names(BACKBONES):
        module = load_kind(BACKBONES, kind, "here")
        assert module.Spec.model_fields["arch"].default == kind
        assert "\n" not in module.DESCRIPTION
        assert isinstance(module.STACKABLE, bool)
    words = "IResNet, ArcFace's residual network (blocks 1-1-1-1, width 0.125)"
    assert describe(iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125)) == words
    patches = {"side_px": 56, "layout": "cross5", "mask_share": 0.2}
    of_patches = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, patches=patches)
    assert describe(of_patches) == f"RRFNet-56, cross5, 20 % masked (drop), of {words}"
    assert describe(mobilefacenet.Spec()) == mobilefacenet.DESCRIPTION
