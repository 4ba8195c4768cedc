"""NetworkSpec: what it refuses, its JSON, and its reading of params sections."""

from types import SimpleNamespace

import pytest

from pipeline_lib.backbones.spec import NetworkSpec, from_params
from pipeline_lib.core.errors import CheckpointError, ParamsError


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
        NetworkSpec.from_json({**spec.to_json(), "arch": "vit"})


def test_reads_a_params_section() -> None:
    section = SimpleNamespace(
        arch="iresnet", blocks=[1, 1, 2, 1], width=0.25, embedding_dim=64, patch_px=None, layout=None, mask_share=0.0,
        mask_mode="drop", epochs=3, checkpoint=None,
    )  # fmt: skip
    assert from_params(section, input_px=56) == NetworkSpec("iresnet", (1, 1, 2, 1), 0.25, 64, input_px=56)
    section.arch, section.width = "mobilefacenet", 1.0
    assert from_params(section).blocks == ()
