"""Networks on disk: exact round trips, and an error that names what is wrong for every way a file can be."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.core.errors import CheckpointError
from pipeline_lib.networks.backbones import bagnet, dlib_resnet, iresnet, mobilefacenet, vit
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import (
    code_digest,
    import_weights,
    initial_network,
    load_network,
    save_network,
)
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec

TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
OF_VIT = {"width": 0.125, "embedding_dim": 8, "depth": 1, "heads": 2, "token_px": 7}
PATCHES = {"side_px": 28, "layout": "all49"}
SPEC = iresnet.Spec(**TINY, input_px=28)
RRF = iresnet.Spec(**TINY, patches={**PATCHES, "mask_share": 0.2, "mask_mode": "zero"})
BAG = bagnet.Spec(field_px=17, **TINY, input_px=28)
VIT = vit.Spec(**OF_VIT, input_px=28)
RRF_OF_VIT = vit.Spec(**OF_VIT, patches=PATCHES)
MOBILE = mobilefacenet.Spec(embedding_dim=16)
DLIB = dlib_resnet.Spec()


def name(spec: NetworkSpec) -> str:
    """For the tests' names."""
    return spec.arch if spec.patches is None else f"rrfnet of {spec.arch}"


@pytest.mark.parametrize("spec", [SPEC, RRF, MOBILE, BAG, VIT, RRF_OF_VIT, DLIB], ids=name)
def test_a_saved_network_comes_back_the_same(spec: NetworkSpec, tmp_path: Path) -> None:
    network = build_network(spec, seed=4)
    save_network(tmp_path / "network", network)
    loaded = load_network(tmp_path / "network")
    assert loaded.spec == spec
    assert not loaded.training
    state = network.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    images = torch.rand(1, 3, spec.input_px, spec.input_px)
    with torch.inference_mode():
        assert torch.equal(loaded(images), network.eval()(images))
    assert sorted(path.name for path in (tmp_path / "network").iterdir()) == ["network.json", "network.safetensors"]


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"description is missing[\s\S]*network\.json"):
        load_network(tmp_path)
    save_network(tmp_path, build_network(SPEC))
    (tmp_path / "network.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"checkpoint is missing[\s\S]*network\.safetensors"):
        load_network(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights(keep: int, tmp_path: Path) -> None:
    save_network(tmp_path, build_network(SPEC))
    path = tmp_path / "network.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"truncated or no safetensors[\s\S]*network\.safetensors"):
        load_network(tmp_path)


def test_broken_descriptions(tmp_path: Path) -> None:
    save_network(tmp_path, build_network(SPEC))
    path = tmp_path / "network.json"
    good = json.loads(path.read_text())
    for bad, said in [
        ({**good, "format": 3}, "another format"),
        ([], "another format"),
        ({**good, "spec": {**good["spec"], "dropout": 0.1}}, "dropout"),
        ({**good, "spec": {**good["spec"], "arch": "resnet"}}, r"resnet"),
        ({**good, "spec": {**BAG.to_json(), "field_px": 33}}, r"bagnet needs at least 33 px"),
        ({**good, "spec": {name: value for name, value in good["spec"].items() if name != "width"}}, "other fields"),
        ({**good, "spec": {**good["spec"], "blocks": None}}, "not possible"),
    ]:
        path.write_text(json.dumps(bad))
        with pytest.raises(CheckpointError, match=said):
            load_network(tmp_path)
    path.write_text("{")
    with pytest.raises(CheckpointError, match="missing or damaged"):
        load_network(tmp_path)


def test_weights_of_another_network_are_named(tmp_path: Path) -> None:
    network = build_network(SPEC)
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    state["extra.weight"] = torch.zeros(2)
    del state["bn2.bias"]
    state["fc.weight"] = torch.zeros(8, 7)
    save_file(state, tmp_path / "foreign.safetensors")
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError) as raised:
        import_weights(network, tmp_path / "foreign.safetensors")
    message = str(raised.value)
    assert "missing: bn2.bias" in message
    assert "unexpected: extra.weight" in message
    assert "fc.weight (8, 7), the network's (8, 1024)" in message
    assert "foreign.safetensors" in message
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())  # nothing half-loaded


def test_networks_of_format_1_say_what_to_do(tmp_path: Path) -> None:
    save_network(tmp_path, build_network(SPEC))
    spec = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "embedding_dim": 8, "input_px": 28, "width": 0.125}
    (tmp_path / "network.json").write_text(json.dumps({"format": 1, "spec": spec}))
    with pytest.raises(CheckpointError, match=r"rerun its training stage[\s\S]*got: 1[\s\S]*network\.json"):
        load_network(tmp_path)


def test_the_description_follows_the_code_that_computes_the_network(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copied checkout, of which single files change."""
    shutil.copytree(repository / "pipeline_lib", tmp_path / "pipeline_lib")
    backbones = tmp_path / "pipeline_lib" / "networks" / "backbones"
    code = """
from pipeline_lib.networks.backbones import bagnet, iresnet
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import code_digest
tiny = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 8}
print(code_digest(build_network(iresnet.Spec(**tiny))))
print(code_digest(build_network(bagnet.Spec(field_px=17, **tiny))))
print(code_digest(build_network(iresnet.Spec(**tiny, patches={"side_px": 28, "layout": "all49"}))))
"""

    def digests() -> list[str]:
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    def changed(file: Path) -> list[bool]:
        file.write_text(file.read_text() + "# another\n")
        found.append(digests())
        return [one != other for one, other in zip(*found[-2:], strict=True)]

    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    ours = [code_digest(build_network(spec)) for spec in (iresnet.Spec(**TINY), bagnet.Spec(field_px=17, **TINY))]
    found = [digests()]
    assert found[0][:2] == ours  # the place of the checkout does not matter
    assert changed(backbones / "bagnet.py") == [False, True, False]
    assert changed(backbones / "shared" / "prelu.py") == [True, True, True]
    assert changed(tmp_path / "pipeline_lib" / "data" / "patches" / "cut.py") == [False, False, True]
    assert changed(tmp_path / "pipeline_lib" / "core" / "cosine.py") == [False, False, False]


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (MOBILE, SPEC, r"missing: conv1\.weight[\s\S]*unexpected: conv1\.conv\.weight[\s\S]*tensors of IResNet"),
        (SPEC, BAG, r"missing: conv2\.weight[\s\S]*unexpected: prelu\.weight[\s\S]*tensors of BagNet"),
        (bagnet.Spec(field_px=33, **TINY, input_px=33), BAG, r"layer4\.0\.conv2\.weight \(64, 64, 3, 3\)"),
        (
            vit.Spec(**{**OF_VIT, "token_px": 14}, input_px=28),
            VIT,
            r"pos_embed \(1, 5, 64\), the network's \(1, 17, 64\)",
        ),
        (iresnet.Spec(**TINY), SPEC, r"unexpected: layer1\.0\.downsample\.0\.weight"),
        (VIT, RRF, r"missing: conv1\.weight[\s\S]*tensors of IResNet"),
        (RRF, VIT, r"unexpected: backbone\.conv1\.weight"),
        (RRF, RRF_OF_VIT, r"missing: backbone\.cls_token[\s\S]*unexpected: backbone\.conv1\.weight"),
    ],
    ids=lambda value: name(value) if isinstance(value, NetworkSpec) else "",
)
def test_weights_of_another_architecture(theirs: NetworkSpec, ours: NetworkSpec, said: str, tmp_path: Path) -> None:
    torch.save(build_network(theirs).state_dict(), tmp_path / "theirs.pth")
    with pytest.raises(CheckpointError, match=rf"of another network[\s\S]*{said}[\s\S]*theirs\.pth"):
        import_weights(build_network(ours), tmp_path / "theirs.pth")


@pytest.mark.parametrize("content", [b"", b"hello " * 50, b"PK\x03\x04" + bytes(100), b"\xff" * 64])
def test_files_that_only_bear_the_name_of_safetensors(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"truncated or no safetensors[\s\S]*weights\.safetensors"):
        import_weights(build_network(SPEC), path)
    with pytest.raises(CheckpointError, match=r"missing[\s\S]*nowhere\.safetensors"):
        import_weights(build_network(SPEC), tmp_path / "nowhere.safetensors")


def test_many_wrong_keys_are_counted_not_listed(tmp_path: Path) -> None:
    save_file({f"key{i}": torch.zeros(1) for i in range(20)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="and 12 more"):
        import_weights(build_network(SPEC), tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("container", [None, "net_state_dict", "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_foreign_torch_files_load(container: str | None, prefix: str, tmp_path: Path) -> None:
    source, target = build_network(SPEC, seed=1), build_network(SPEC, seed=2)
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save(state if container is None else {"epoch": 3, container: state}, tmp_path / "weights.pth")
    import_weights(target, tmp_path / "weights.pth")
    wanted = source.state_dict()
    assert all(torch.equal(value, wanted[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize(("plain", "rrfnet", "key"), [(SPEC, RRF, "fc.weight"), (VIT, RRF_OF_VIT, "cls_token")])
def test_a_patch_networks_weights_go_into_an_rrfnets_backbone(
    plain: NetworkSpec, rrfnet: NetworkSpec, key: str, tmp_path: Path
) -> None:
    source, target = build_network(plain, seed=1), build_network(rrfnet, seed=2)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    import_weights(target, tmp_path / "weights.pth")
    assert torch.equal(target.state_dict()[f"backbone.{key}"], source.state_dict()[key])


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("this must not run",))


def test_torch_files_that_are_not_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = build_network(SPEC)
    path = tmp_path / "weights.pth"
    with pytest.raises(CheckpointError, match=r"missing[\s\S]*weights\.pth"):
        import_weights(network, path)
    torch.save({"state_dict": Harmful()}, path)
    with pytest.raises(CheckpointError, match="more than tensors"):
        import_weights(network, path)
    assert "this must not run" not in capsys.readouterr().out
    for content in ({}, [torch.zeros(1)], {"epoch": 3}, torch.zeros(1)):
        torch.save(content, path)
        with pytest.raises(CheckpointError, match="holds no state dict"):
            import_weights(network, path)
    torch.save(network.state_dict(), path)
    whole = path.read_bytes()
    for broken in (b"", b"hello", whole[:1000], whole[:-100]):
        path.write_bytes(broken)
        with pytest.raises(CheckpointError, match="truncated, no PyTorch file"):
            import_weights(network, path)


def test_initial_network_is_drawn_from_the_seed_or_read_from_a_checkpoint(tmp_path: Path) -> None:
    drawn = initial_network(SPEC, 3, None).state_dict()
    assert torch.equal(drawn["fc.weight"], build_network(SPEC, 3).state_dict()["fc.weight"])
    torch.save(build_network(SPEC, 9).state_dict(), tmp_path / "published.pth")
    read = initial_network(SPEC, 3, tmp_path / "published.pth").state_dict()
    assert torch.equal(read["fc.weight"], build_network(SPEC, 9).state_dict()["fc.weight"])
    with pytest.raises(CheckpointError, match=r"missing[\s\S]*nowhere\.pth"):
        initial_network(SPEC, 3, Path("nowhere.pth"))
