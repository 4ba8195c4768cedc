"""A training that stops and goes on ends in the same weights; what is refused."""

import contextlib
import re
from pathlib import Path

import pytest
import torch
from tiny_generator import SETTINGS, dataset

from pipeline_lib.core.errors import Interrupted, PipelineError
from pipeline_lib.networks.generator import loop
from pipeline_lib.networks.generator.architecture import GeneratorNetwork
from pipeline_lib.networks.generator.game import Game
from pipeline_lib.networks.training.stop import StopRequest
from pipeline_lib.params.generators import Generator
from pipeline_lib.params.machine import Machine

CPU = torch.device("cpu")
MACHINE = Machine(log_every_steps=2, checkpoint_every_steps=3)


class Killed(Exception):
    """Stands for SIGKILL: nothing is saved on the way out."""


def train(folder: Path, settings: Generator = SETTINGS, kill_at: int | None = None) -> tuple[GeneratorNetwork, list]:
    def logger(row: dict[str, float], step: int) -> None:
        if step == kill_at:
            raise Killed

    return loop.train_generator(settings, dataset(), MACHINE, CPU, folder, logger)


@pytest.mark.parametrize("kill_at", [2, 6])
def test_killed_and_resumed_gives_the_same_weights(
    kill_at: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, history = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", kill_at=kill_at)
    with caplog.at_level("INFO", logger="face_verifier"):
        resumed, again = train(tmp_path / "killed")
    last = (kill_at - 1) // 3 * 3
    assert (f"training goes on after step {last}" in caplog.text) == (last > 0)
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))
    steps = [[row[name] for name in ("step", "epoch", "discriminator", "generator", "r1")] for row in history]
    assert steps == [[row[name] for name in ("step", "epoch", "discriminator", "generator", "r1")] for row in again]
    assert [row[0] for row in steps] == [2, 4, 6, 7]


def test_a_signal_stops_after_the_step_and_the_rest_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole")[0]
    take_step = Game.take_step

    def stopping(game: Game, faces: torch.Tensor, step: int) -> torch.Tensor:
        if step == 4:
            request.made = True
        return take_step(game, faces, step)

    request = StopRequest()
    monkeypatch.setattr(loop, "stop_request", lambda: contextlib.nullcontext(request))
    monkeypatch.setattr(Game, "take_step", stopping)
    with pytest.raises(Interrupted, match="after step 5 of 7"):
        train(tmp_path / "stopped")
    request.made = False
    resumed = train(tmp_path / "stopped")[0]
    assert all(map(torch.equal, whole.parameters(), resumed.parameters()))


def test_other_settings_start_anew_and_those_of_the_judge_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Killed):
        train(tmp_path, kill_at=4)
    train(tmp_path, SETTINGS.model_copy(update={"num_judged": 99, "judge": "another"}))
    assert "starts anew" not in caplog.text
    train(tmp_path, SETTINGS.model_copy(update={"r1_gamma": 1.0}))
    assert "starts anew" in caplog.text


def test_a_loss_that_is_not_finite_is_refused_and_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    take_step = Game.take_step

    def breaking(game: Game, faces: torch.Tensor, step: int) -> torch.Tensor:
        return take_step(game, faces * (float("nan") if step == 4 else 1.0), step)

    monkeypatch.setattr(Game, "take_step", breaking)
    with pytest.raises(PipelineError, match=r"loss of step 5 .* not finite") as refused:
        train(tmp_path)
    assert "discriminator nan" in str(refused.value)
    assert re.search(r"epoch 1, .* images face\d, face\d", str(refused.value))
    monkeypatch.setattr(Game, "take_step", take_step)
    with caplog.at_level("INFO", logger="face_verifier"):
        train(tmp_path)
    assert "goes on after step 3" in caplog.text
