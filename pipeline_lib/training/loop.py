"""The training loop: every network and head, one process or many, from the first step or from a checkpoint."""

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.memory import keep_freed_memory
from pipeline_lib.core.world import World
from pipeline_lib.heads.softmax_margin import SoftmaxMarginHead
from pipeline_lib.shards.plan import epoch_plan
from pipeline_lib.training.checkpoint import load_checkpoint, save_checkpoint, training_digest
from pipeline_lib.training.data import Batch, TrainingSet, check_shift, load_ahead, load_batch
from pipeline_lib.training.distributed import batch_per_rank, check_agreement, gather, replicate
from pipeline_lib.training.schedule import learning_rate
from pipeline_lib.training.settings import TrainSettings
from pipeline_lib.training.stop import stop_request
from pipeline_lib.training.trainee import Trainee, to_device

Row = dict[str, float]
Logger = Callable[[dict[str, float], int], None]
log = logging.getLogger("face_verifier")


def train_network(
    network: FaceNetwork,
    head: SoftmaxMarginHead,
    dataset: TrainingSet,
    settings: TrainSettings,
    world: World,
    resume_dir: Path,
    logger: Logger,
) -> list[Row]:
    """Train `network` and `head` in place by SGD (METHODS section 3), resuming from `resume_dir` where that is
    possible.

    A step: the loss of the rank's share of the global batch, gradients averaged over the ranks, the backbone's
    clipped to settings.clip_norm, SGD at the rate of schedule.learning_rate. Losses stay on the device until they are
    logged. On SIGTERM or SIGINT a checkpoint is written and PipelineError raised: after the step in a world of one;
    over several ranks at the next logged or saved step, where all agree on it.

    Args:
        network, head: as built; moved to world.device.
        dataset, settings: see there.
        world: this process's place; all ranks call this with the same arguments.
        resume_dir: one folder for all ranks; rank 0 writes it.
        logger: takes figures by name, and the step; called on rank 0 for each row.

    Returns:
        A row for every log_every_steps steps and for the last: step (done so far), epoch (a fraction), loss (mean over
        the steps since the row before and over all ranks), learning_rate, images_per_s (of all ranks together).

    Raises:
        PipelineError: a loss was not finite (names step and rank), or a signal stopped the training.
        DataError, ParamsError: the data do not fit the head, the batch the world, or the shift the regions.
    """
    if dataset.labels.max() >= len(head.weight):
        got = f"label {dataset.labels.max()}"
        raise DataError("A label is beyond the head's classes.", got=got, allowed=f"0 to {len(head.weight) - 1}")
    check_shift(dataset, settings.shift_px)
    batch_per_rank(settings.batch_size, world)
    keep_freed_memory()
    run = _Run(network, head, dataset, settings, world, resume_dir, logger)
    with stop_request() as stop, contextlib.closing(run.batches()) as batches:
        for batch in batches:
            run.take_step(batch)
            logs, saves, last = run.due()
            if logs or saves or (stop.made and world.size == 1):
                stops = run.collect_losses(stop.made)
                if logs:
                    run.log_row()
                if (saves or stops) and not last:
                    run.save()
                if stops and not last:
                    raise PipelineError(
                        f"A signal stopped the training after step {run.progress.step} of {run.num_steps}; "
                        "run it again to go on from there.",
                        where=resume_dir,
                    )
    return run.progress.history


class _Run:
    """The state of one call of train_network."""

    def __init__(
        self,
        network: FaceNetwork,
        head: SoftmaxMarginHead,
        dataset: TrainingSet,
        settings: TrainSettings,
        world: World,
        resume_dir: Path,
        logger: Logger,
    ) -> None:
        self.dataset, self.settings, self.world = dataset, settings, world
        self.resume_dir, self.logger = resume_dir, logger
        self.steps_per_epoch = math.ceil(len(dataset) / settings.batch_size)
        self.num_steps = settings.epochs * self.steps_per_epoch
        self.num_warmup_steps = round(settings.warmup_epochs * self.steps_per_epoch)
        self.model = Trainee(network, head).to(world.device).train()
        self.optimiser = torch.optim.SGD(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.digest = training_digest(
            self.model, network.spec.to_json(), dataclasses.asdict(settings), dataset.digest, dataset.classes
        )
        self.progress = load_checkpoint(resume_dir, self.model, self.optimiser, self.digest)
        check_agreement(self.progress.step, world)
        self.replica = replicate(self.model, world)
        self.losses: list[Tensor] = []  # of this rank, on its device, not yet collected
        self.row_step, self.row_time = self.progress.step, time.monotonic()

    def batches(self) -> Generator[Batch, None, None]:
        """This rank's batches of the steps that are still to do, loaded ahead."""
        share = batch_per_rank(self.settings.batch_size, self.world)
        draw_kept = self.model.network.draw_kept_patches

        def plan() -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
            first_epoch, skip = divmod(self.progress.step, self.steps_per_epoch)
            for epoch in range(first_epoch, self.settings.epochs):
                steps = epoch_plan(
                    len(self.dataset), self.world.size, self.world.rank, share, self.settings.seed, epoch
                )
                yield from ((epoch, samples) for samples in steps[skip if epoch == first_epoch else 0 :])

        def load(item: tuple[int, npt.NDArray[np.int64]]) -> Batch:
            epoch, samples = item
            return load_batch(self.dataset, samples, self.settings.shift_px, self.settings.seed, epoch, draw_kept)

        return load_ahead(load, plan(), self.settings.num_loader_threads)

    def take_step(self, batch: Batch) -> None:
        """One step of the optimiser; nothing here waits for the device."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate(self.progress.step)
        loss = self.replica(*to_device(batch, self.world.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        clip_grad_norm_(self.model.network.parameters(), self.settings.clip_norm)
        self.optimiser.step()
        self.losses.append(loss.detach())
        self.progress.step += 1

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        return learning_rate(step, self.num_steps, self.num_warmup_steps, self.settings.learning_rate)

    def due(self) -> tuple[bool, bool, bool]:
        """After a step: is a row due, is a checkpoint due, was it the last step; the same on all ranks."""
        done = self.progress.step
        last = done == self.num_steps
        return (
            done % self.settings.log_every_steps == 0 or last,
            done % self.settings.checkpoint_every_steps == 0,
            last,
        )

    def collect_losses(self, stop: bool) -> bool:
        """Gather the losses since the last call from all ranks; True if any of them was asked to stop.

        Raises:
            PipelineError: a loss is not finite; on all ranks alike.
        """
        flag = torch.tensor(float(stop), device=self.world.device)
        gathered = gather(torch.stack([*self.losses, flag]), self.world)
        losses, flags = gathered[:, :-1], gathered[:, -1]
        if not torch.isfinite(losses).all():
            first = int((~torch.isfinite(losses)).any(dim=0).nonzero()[0, 0])
            ranks = (~torch.isfinite(losses[:, first])).nonzero()[:, 0].tolist()
            step = self.progress.step - losses.shape[1] + first + 1
            raise PipelineError(
                f"The loss of step {step} is not finite on rank {', '.join(map(str, ranks))}; "
                "lower train.learning_rate or lengthen train.warmup_epochs.",
                got=losses[ranks[0], first].item(),
                where=f"epoch {(step - 1) // self.steps_per_epoch}, learning rate {self.rate(step - 1):.5g}",
            )
        self.progress.pending += losses.double().mean(dim=0).tolist()
        self.losses = []
        return bool(flags.any())

    def log_row(self) -> None:
        """Turn the collected losses into a row of the history, and show it."""
        done, now = self.progress.step, time.monotonic()
        row = {
            "step": done,
            "epoch": round(done / self.steps_per_epoch, 4),
            "loss": sum(self.progress.pending) / len(self.progress.pending),
            "learning_rate": self.rate(done - 1),
            "images_per_s": (done - self.row_step) * self.settings.batch_size / (now - self.row_time),
        }
        self.progress.history.append(row)
        self.progress.pending = []
        self.row_step, self.row_time = done, now
        if self.world.is_main:
            text = "step %d/%d, epoch %.2f: loss %.4f, rate %.5f, %.1f images/s"
            log.info(text, done, self.num_steps, *[value for name, value in row.items() if name != "step"])
            self.logger({name: value for name, value in row.items() if name != "step"}, done)

    def save(self) -> None:
        """Write the checkpoint, on rank 0; all ranks hold the same state."""
        if self.world.is_main:
            save_checkpoint(self.resume_dir, self.model, self.optimiser, self.progress, self.digest)
