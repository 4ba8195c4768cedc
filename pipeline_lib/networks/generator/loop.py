"""The training of a generator: from the first step or from a checkpoint, in one process on one device."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core import pixels
from pipeline_lib.core.ahead import load_ahead
from pipeline_lib.core.code import modules_in, source_digest
from pipeline_lib.core.errors import Interrupted, PipelineError
from pipeline_lib.core.memory import keep_freed_memory, peak_memory_bytes
from pipeline_lib.data.shards import images, plan, shuffle
from pipeline_lib.data.shards.plan import steps_per_epoch
from pipeline_lib.networks.generator.architecture import GeneratorNetwork
from pipeline_lib.networks.generator.game import LOSSES, Game
from pipeline_lib.networks.generator.samples import Floats, batches_from, load_faces
from pipeline_lib.networks.training import augment, decoded
from pipeline_lib.networks.training import data as training_data
from pipeline_lib.networks.training.checkpoint import About, check_writable, load_checkpoint, save_checkpoint
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.stop import stop_request
from pipeline_lib.params.generators import Generator as Settings
from pipeline_lib.params.machine import Machine

Row = dict[str, float]
MAX_NAMED = 8
INDECISIVE = {"judge", "num_judged"}  # settings that decide nothing of the training
log = logging.getLogger("face_verifier")


def train_generator(
    settings: Settings,
    dataset: TrainingSet,
    machine: Machine,
    device: torch.device,
    resume_dir: Path,
    logger: Callable[[dict[str, float], int], None],
) -> tuple[GeneratorNetwork, list[Row]]:
    """Train a generator against a discriminator, resuming from `resume_dir` where that is possible.

    Every random number is a function of the seed and the step, so a training that was killed and went on from its last
    checkpoint ends, on the same machine, in the same bytes as one that was left alone. On SIGTERM or SIGINT a checkpoint is
    written after the step.

    Args:
        settings: of params.
        dataset: whole faces, of one view.
        machine: how often a row and a checkpoint are written, and the threads that decode ahead; decides no result.
        device: where all is computed, in float32.
        resume_dir: the training's own folder.
        logger: takes figures by name, and the step; called for each row.

    Returns:
        The generator of the running mean of the weights, and a row for every machine.log_every_steps steps and for the last:
        step (done so far), epoch (a fraction), discriminator, generator, r1 (losses as game.Game.take_step, means over
        the steps since the row before), images_per_s (real ones), data_wait_share, peak_memory_bytes.

    Raises:
        Interrupted: a signal stopped the training.
        PipelineError: a loss was not finite (names step and images), or resume_dir cannot be written.
        DataError: there are fewer images than a batch takes, or one is unreadable or of another size.
    """
    check_writable(resume_dir)
    keep_freed_memory()
    run = _Run(settings, dataset, machine, device, resume_dir, logger)
    run.go()
    return run.game.average, run.progress.history


class _Run:
    """The state of one call of train_generator."""

    def __init__(
        self,
        settings: Settings,
        dataset: TrainingSet,
        machine: Machine,
        device: torch.device,
        resume_dir: Path,
        logger: Callable[[dict[str, float], int], None],
    ) -> None:
        self.dataset = replace(dataset, kept_bytes=machine.kept_images_mib * 2**20)
        self.settings, self.machine, self.device = settings, machine, device
        self.resume_dir, self.logger = resume_dir, logger
        self.steps_per_epoch = steps_per_epoch(len(dataset), settings.batch_size)
        self.game = Game(settings, device)
        self.about = training_about(settings, dataset)
        self.progress = load_checkpoint(resume_dir, [self.game], self.about)
        self.losses: list[torch.Tensor] = []  # (3,) a step, on the device, not yet collected
        self.wait_s, self.row_step, self.row_time = 0.0, self.progress.step, time.monotonic()

    def go(self) -> None:
        """Train to the end, or to a signal."""
        with stop_request() as stop, contextlib.closing(self.batches()) as batches:
            while self.progress.step < self.settings.num_steps:
                asked = time.monotonic()
                faces = torch.from_numpy(next(batches)).to(self.device)
                self.wait_s += time.monotonic() - asked
                self.losses.append(self.game.take_step(faces, self.progress.step))
                self.progress.step += 1
                done = self.progress.step
                last = done == self.settings.num_steps
                logs = done % self.machine.log_every_steps == 0 or last
                saves = done % self.machine.checkpoint_every_steps == 0
                if logs or saves or stop.made:
                    self.collect()
                if logs:
                    self.log_row()
                if (saves or stop.made) and not last:
                    save_checkpoint(self.resume_dir, [self.game], self.progress, self.about)
                if stop.made and not last:
                    raise Interrupted(
                        f"A signal stopped the training after step {done} of {self.settings.num_steps}; "
                        "run it again to go on from there.",
                        where=self.resume_dir,
                    )

    def batches(self) -> Generator[Floats, None, None]:
        """The real faces of the steps that are still to do, loaded ahead."""
        settings = self.settings
        plan = batches_from(
            self.progress.step, settings.num_steps, len(self.dataset), settings.batch_size, settings.seed
        )

        def load(item: tuple[int, npt.NDArray[np.int64]]) -> Floats:
            return load_faces(self.dataset, item[1], settings.side_px, settings.seed, item[0])

        return load_ahead(load, plan, self.machine.threads_per_process)

    def collect(self) -> None:
        """Take the losses of the steps since the last call from the device.

        Raises:
            PipelineError: one is not finite.
        """
        losses = torch.stack(self.losses).double().tolist()
        self.losses = []
        for number, of_step in enumerate(losses, start=1):
            if not np.isfinite(of_step).all():
                self.refuse(self.progress.step - len(losses) + number, of_step)
        self.progress.pending += losses

    def refuse(self, step: int, losses: list[float]) -> None:
        """Name a step (counted from 1) whose losses are not all finite, and its images."""
        settings = self.settings
        epoch, samples = next(batches_from(step - 1, step, len(self.dataset), settings.batch_size, settings.seed))
        names = [self.dataset.name(int(sample)) for sample in samples[:MAX_NAMED]]
        raise PipelineError(
            f"A loss of step {step} of the generator's training is not finite; lower its learning_rate, raise its r1_gamma, "
            "or look at the images.",
            got=", ".join(f"{name} {loss}" for name, loss in zip(LOSSES, losses, strict=True)),
            where=f"epoch {epoch}, learning rate {settings.learning_rate}, images "
            + ", ".join(names)
            + (", ..." if len(samples) > MAX_NAMED else ""),
        )

    def log_row(self) -> None:
        """Turn the collected losses into a row of the history, and show it."""
        done, seconds = self.progress.step, time.monotonic() - self.row_time
        losses = dict(zip(LOSSES, np.mean(self.progress.pending, axis=0).tolist(), strict=True))
        row = {
            "step": done,
            "epoch": round(done / self.steps_per_epoch, 4),
            **losses,
            "images_per_s": (done - self.row_step) * self.settings.batch_size / seconds,
            "data_wait_share": self.wait_s / seconds,
            "peak_memory_bytes": float(peak_memory_bytes(self.device)),
        }
        self.progress.history.append(row)
        self.progress.pending = []
        log.info(
            "step %d/%d, epoch %.2f: discriminator %.4f, generator %.4f, r1 %.4f, %.1f images/s, %.1f %% of the time waiting "
            "for data",
            *(done, self.settings.num_steps, row["epoch"], *losses.values(), row["images_per_s"]),
            100 * row["data_wait_share"],
        )
        self.logger({name: value for name, value in row.items() if name != "step"}, done)
        self.wait_s, self.row_step, self.row_time = 0.0, done, time.monotonic()


def training_about(settings: Settings, dataset: TrainingSet) -> About:
    """What decides a training's result, as short texts: a checkpoint that says otherwise is of another training.

    The source of networks/generator counts whole, with what judges and draws.
    """
    return {
        "settings": json.dumps(settings.model_dump(exclude=INDECISIVE)),
        "images": dataset.digest,
        "code": source_digest(_modules()),
    }


def _modules() -> Iterator[ModuleType]:
    yield from chain(modules_in("networks.generator"), (images, pixels, plan, shuffle, augment, decoded, training_data))
