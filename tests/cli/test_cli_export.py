"""face-verifier export: what it writes, what it prints, and its errors."""

import sys
from pathlib import Path

import pytest
import torch

from pipeline_lib import cli
from pipeline_lib.networks.backbones.shared.build import build_network, network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import import_weights, save_network
from pipeline_lib.params.networks import Network
from pipeline_lib.params.section import NO_FILE

SECTION = Network(
    arch="vit", embedding_dim=8, width=0.125, depth=1, heads=1, token_px=28,
    epochs=0, head={"kind": "none"}, checkpoint=NO_FILE,
)  # fmt: skip
SPEC = network_spec(SECTION, where="test")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> object:
    """The command's exit code, or the message it exits with."""
    monkeypatch.setattr(sys, "argv", ["face-verifier", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as raised:
        cli.main()
    return raised.value.code


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_writes_the_file_and_says_so(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = build_network(SPEC, seed=3)
    save_network(tmp_path / "network", network)
    out = tmp_path / f"out.{suffix}"
    assert run(monkeypatch, "--network", tmp_path / "network", "--out", out) == 0
    assert capsys.readouterr().out == f"{out}: {out.stat().st_size:,} bytes\n"
    other = build_network(SPEC, seed=4)
    import_weights(other, out)
    assert torch.equal(other.state_dict()["fc.weight"], network.state_dict()["fc.weight"])


def test_errors_are_messages_without_a_traceback(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.pth"
    missing = run(monkeypatch, "--network", tmp_path / "nowhere", "--out", out)
    assert "description is missing" in str(missing)
    assert "nowhere" in str(missing)
    save_network(tmp_path / "network", build_network(SPEC))
    wrong = str(run(monkeypatch, "--network", tmp_path / "network", "--out", tmp_path / "out.pb"))
    assert "CheckpointError: A network is not exported in such a file.\n  got: out.pb\n  allowed: .pth, .onnx" in wrong
    assert run(monkeypatch, "--network", tmp_path / "network") == 2
    mistyped = run(monkeypatch, "--network", tmp_path / "network", "--out", tmp_path / "no" / "out.pth")
    assert "There is no such folder" in str(mistyped)
    assert not out.exists()
    assert not (tmp_path / "no").exists()
