"""NetworkSpec: what it refuses, its JSON, and its reading of params sections."""

from typing import Any, get_args

import pytest

from pipeline_lib.core.errors import CheckpointError, ParamsError
from pipeline_lib.networks.backbones.shared.spec import (
    ADDED_FIELDS,
    ARCHITECTURES,
    BLOCK_PRESETS,
    NEEDS,
    NetworkSpec,
    from_params,
)
from pipeline_lib.params.load import Network

VIT = {"blocks": (), "depth": 2, "heads": 2, "token_px": 8}
PATCHES = {"patch_px": 28, "layout": "all49"}


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"arch": "resnet"}, "arch"),
        ({"arch": "iresnet", "blocks": (1, 1, 1)}, "blocks"),
        ({"arch": "iresnet", "blocks": (1, 1, 0, 1)}, "blocks"),
        ({"arch": "mobilefacenet"}, "blocks"),
        ({"arch": "mobilefacenet", "blocks": (), "width": 0.5}, "width"),
        ({"arch": "iresnet", "width": 0.0}, "width"),
        ({"arch": "iresnet", "embedding_dim": 0}, "embedding_dim"),
        ({"arch": "iresnet", "mask_share": 0.2}, "mask_share"),
        ({"arch": "iresnet", "patch_px": 56}, "patch_px"),
        ({"arch": "rrfnet", "patch_px": 56}, "patch_px"),
        ({"arch": "rrfnet", "patch_px": 30, "layout": "all9"}, "patch_px"),
        ({"arch": "rrfnet", "patch_px": 56, "layout": "all9", "mask_share": 1.0}, "mask_share"),
        ({"arch": "rrfnet", "patch_px": 56, "layout": "all9", "mask_mode": "blur"}, "mask_mode"),
        ({"arch": "rrfnet", "patch_px": 56, "layout": "all9", "input_px": 56}, "input_px"),
        ({"arch": "iresnet", "input_px": 4}, "input_px"),
        ({"arch": "rrfnet", "backbone": "rrfnet", **PATCHES}, "backbone"),
        ({"arch": "iresnet", "backbone": "vit"}, "backbone"),
        ({"arch": "rrfnet", "backbone": "mobilefacenet", **PATCHES}, "blocks"),
        ({"arch": "rrfnet", "backbone": "mobilefacenet", "blocks": (), "width": 0.5, **PATCHES}, "width"),
        ({"arch": "bagnet17", "blocks": (1, 1, 1)}, "blocks"),
        ({"arch": "bagnet17", "input_px": 16}, "input_px"),
        ({"arch": "bagnet33", "input_px": 32}, "input_px"),
        ({"arch": "vit", **VIT, "blocks": (1, 1, 1, 1)}, "blocks"),
        ({"arch": "vit", "blocks": ()}, "depth, heads, token_px"),
        ({"arch": "vit", **VIT, "heads": 0}, "depth, heads, token_px"),
        ({"arch": "vit", **VIT, "input_px": 28}, "token_px"),
        ({"arch": "iresnet", "depth": 2}, "depth, heads, token_px"),
        ({"arch": "rrfnet", "backbone": "iresnet", "depth": 2, **PATCHES}, "depth, heads, token_px"),
    ],
)
def test_impossible_networks_are_refused_by_key(fields: dict[str, object], key: str) -> None:
    with pytest.raises(ParamsError, match=f"network's {key}"):
        NetworkSpec(**fields)


@pytest.mark.parametrize(("input_px", "stride"), [(112, 2), (56, 1), (28, 1)])
def test_patches_enter_at_stride_one(input_px: int, stride: int) -> None:
    assert NetworkSpec("iresnet", input_px=input_px).first_stride == stride


def test_json_round_trip_and_its_errors() -> None:
    spec = NetworkSpec("rrfnet", (1, 2, 3, 4), 0.5, 64, 28, "all49", 0.4, "zero")
    assert NetworkSpec.from_json(spec.to_json()) == spec
    fields = spec.to_json()
    del fields["width"]
    with pytest.raises(CheckpointError, match=r"other fields[\s\S]*somewhere"):
        NetworkSpec.from_json(fields, where="somewhere")
    with pytest.raises(CheckpointError, match="not possible"):
        NetworkSpec.from_json({**spec.to_json(), "arch": "resnet"})


def test_an_impossible_patch_size_is_refused_with_what_is_possible() -> None:
    with pytest.raises(ParamsError) as raised:
        NetworkSpec("rrfnet", backbone="bagnet33", **PATCHES)
    message = str(raised.value)
    assert "network's patch_px is not possible" in message
    assert "got: 28" in message
    assert "at least 33 for bagnet33; 28 px are enough for iresnet, mobilefacenet, bagnet17, vit" in message
    assert NetworkSpec("rrfnet", backbone="bagnet33", patch_px=56, layout="all9").of_patches().input_px == 56
    with pytest.raises(
        ParamsError, match=r"token_px[\s\S]*got: 8[\s\S]*divisor of patch_px 28: \[1, 2, 4, 7, 14, 28\]"
    ):
        NetworkSpec("rrfnet", backbone="vit", **PATCHES, **VIT)


def test_files_of_before_the_new_fields_read_as_their_defaults() -> None:
    """A network.json's spec as format 1 was first written."""
    fields = {
        "arch": "rrfnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 128, "patch_px": 56,
        "layout": "cross5", "mask_share": 0.2, "mask_mode": "drop", "input_px": 112,
    }  # fmt: skip
    spec = NetworkSpec.from_json(fields)
    assert spec == NetworkSpec("rrfnet", (1, 1, 1, 1), 0.125, 128, 56, "cross5", 0.2, "drop", 112, "iresnet")
    assert set(spec.to_json()) - set(fields) == ADDED_FIELDS


@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec("vit", (), depth=20, heads=8, token_px=8),
        NetworkSpec("bagnet33", BLOCK_PRESETS["r34"]),
        NetworkSpec("rrfnet", (), 0.5, 64, 28, "all49", 0.4, "zero", 112, "vit", 2, 4, 7),
    ],
    ids=lambda spec: spec.arch,
)
def test_json_round_trip_of_the_new_fields(spec: NetworkSpec) -> None:
    assert NetworkSpec.from_json(spec.to_json()) == spec


def test_of_patches_is_the_region_network_of_that_size() -> None:
    spec = NetworkSpec("rrfnet", (1, 1, 2, 1), 0.25, 64, 56, "all9", 0.4, "zero")
    assert spec.of_patches() == NetworkSpec("iresnet", (1, 1, 2, 1), 0.25, 64, input_px=56)
    spec = NetworkSpec("rrfnet", backbone="vit", **PATCHES, **{**VIT, "token_px": 7})
    assert spec.of_patches() == NetworkSpec("vit", **{**VIT, "token_px": 7}, input_px=28)


def section(**fields: Any) -> Network:
    return Network(**{"epochs": 3, **fields})


def test_reads_a_params_section() -> None:
    of_iresnet = section(arch="iresnet", blocks=[1, 1, 2, 1], width=0.25, embedding_dim=64)
    assert from_params(of_iresnet, input_px=56) == NetworkSpec("iresnet", (1, 1, 2, 1), 0.25, 64, input_px=56)
    assert from_params(section(arch="iresnet")) == NetworkSpec("iresnet", (2, 2, 2, 2))
    assert from_params(section(arch="iresnet", blocks="r100")).blocks == (3, 13, 30, 3)
    assert from_params(section(arch="mobilefacenet")).blocks == ()
    of_vit = section(arch="vit", depth=2, heads=2, token_px=8)
    assert from_params(of_vit) == NetworkSpec("vit", **VIT)
    of_rrfnet = section(arch="rrfnet", backbone="mobilefacenet", patch_px=28, layout="all49", mask_share=0.4)
    expected = NetworkSpec("rrfnet", (), mask_share=0.4, backbone="mobilefacenet", **PATCHES)
    assert from_params(of_rrfnet) == expected


def test_params_offer_what_there_is() -> None:
    assert get_args(Network.model_fields["arch"].annotation) == ARCHITECTURES
    assert get_args(Network.model_fields["backbone"].annotation) == tuple(NEEDS)
    for name, blocks in BLOCK_PRESETS.items():
        assert from_params(section(arch="bagnet17", blocks=name)).blocks == blocks


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"arch": "iresnet", "blocks": "r42"}, "r18"),
        ({"arch": "iresnet", "backbone": "vit"}, "backbone belongs to arch rrfnet"),
        ({"arch": "vit", "depth": 2, "heads": 2}, "depth, heads and token_px"),
        ({"arch": "iresnet", "depth": 2}, "depth, heads and token_px"),
        ({"arch": "rrfnet", "backbone": "vit", "patch_px": 28, "layout": "all49"}, "depth, heads and token_px"),
    ],
)
def test_params_that_do_not_belong_together(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        section(**fields)
