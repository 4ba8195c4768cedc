"""Networks on disk: exact round trips, and an error that names what is wrong for every way a file can be."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline_lib.backbones.build import build_network
from pipeline_lib.backbones.checkpoints import import_weights, load_network, save_network
from pipeline_lib.backbones.spec import NetworkSpec
from pipeline_lib.core.errors import CheckpointError

SPEC = NetworkSpec("iresnet", (1, 1, 1, 1), 0.125, 8, input_px=28)
RRF = NetworkSpec("rrfnet", (1, 1, 1, 1), 0.125, 8, patch_px=28, layout="all49", mask_share=0.2, mask_mode="zero")


@pytest.mark.parametrize("spec", [SPEC, RRF, NetworkSpec("mobilefacenet", (), embedding_dim=16)], ids=lambda s: s.arch)
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
        ({**good, "format": 2}, "another format"),
        ([], "another format"),
        ({**good, "spec": {**good["spec"], "dropout": 0.1}}, "other fields"),
        ({**good, "spec": {**good["spec"], "arch": "vit"}}, r"vit"),
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


def test_a_patch_networks_weights_go_into_an_rrfnets_backbone(tmp_path: Path) -> None:
    source, target = build_network(SPEC, seed=1), build_network(RRF, seed=2)
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    import_weights(target, tmp_path / "weights.pth")
    assert torch.equal(target.state_dict()["backbone.fc.weight"], source.state_dict()["fc.weight"])


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
