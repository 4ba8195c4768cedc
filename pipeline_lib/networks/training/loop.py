"""The training loop: every network and head, one process or many, from the first step or from a checkpoint."""

import contextlib
import itertools
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from pipeline_lib.core.ahead import load_ahead
from pipeline_lib.core.errors import Interrupted, PipelineError
from pipeline_lib.core.memory import keep_freed_memory, peak_memory_bytes
from pipeline_lib.core.world import World
from pipeline_lib.data.shards.plan import epoch_plan, steps_per_epoch
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.partial_fc_shards import load_shards, remove_other_steps, save_shards
from pipeline_lib.networks.training.checkpoint import check_writable, load_checkpoint, save_checkpoint, training_about
from pipeline_lib.networks.training.data import Batch, TrainingSet, check_shift, load_batch
from pipeline_lib.networks.training.distributed import StopVote, batch_shares, check_agreement, gather, lost_ranks_named
from pipeline_lib.networks.training.learner import Learner, micro_batches, pinned
from pipeline_lib.networks.training.partners import Partners
from pipeline_lib.networks.training.schedule import learning_rate
from pipeline_lib.networks.training.side_by_side import side_by_side
from pipeline_lib.networks.training.stop import stop_request
from pipeline_lib.networks.training.trainee import Trainee, check_objective
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.train import Train

Row = dict[str, float]
Logger = Callable[[dict[str, float], int], None]
Validate = Callable[[Mapping[str, FaceNetwork]], Row]
MAX_NAMED = 8
log = logging.getLogger("face_verifier")


def train_networks(
    trainees: Mapping[str, Trainee],
    dataset: TrainingSet,
    train: Train,
    epochs: int,
    machine: Machine,
    world: World,
    resume_dir: Path,
    logger: Logger,
    validate: Validate | None = None,
) -> list[Row]:
    """Train networks in place, each on its view of the same images, resuming from `resume_dir` where that is possible.

    A step: each network's loss of the rank's share of the global batch, gradients averaged over the ranks, the backbone's
    clipped, SGD at the rate of schedule.learning_rate (Learner.take_step). The networks know nothing of each other:
    training them together gives the weights of training one after the other, up to the order of sums where small ones are
    computed as one (side_by_side). On SIGTERM or SIGINT a checkpoint is
    written and Interrupted raised: after the step in a world of one, after the next over several ranks.

    Args:
        trainees: V by name, in the order of dataset.views; moved to world.device.
        dataset, train: see there.
        epochs: passes over the data, at least 1.
        machine: how often a row and a checkpoint are written, and the threads that decode ahead; decides no result.
        world: this process's place; all ranks call this with the same arguments.
        resume_dir: one folder for all ranks; rank 0 writes it.
        logger: takes figures by name, and the step; called on rank 0 for each row.
        validate: figures of the networks on a validation set, called on all ranks every train.validate_every_epochs
            epochs and at the end.

    Returns:
        A row for every machine.log_every_steps steps, for each validation, and for the last step: step (done so far), epoch
        (a fraction), loss (mean over the steps since the row before, over ranks and networks; `loss.<name>` of each where
        there are several), gradient_norm (mean, before clipping), learning_rate, images_per_s (of all ranks together),
        data_wait_share (of the time since the row before), peak_memory_bytes (of rank 0), and what `validate` gave.

    Raises:
        Interrupted: a signal stopped the training.
        PipelineError: a loss was not finite (names step, rank and images), a rank is gone (names it), or resume_dir cannot
            be written.
        DataError, ParamsError: the data or the teacher do not fit the heads, the batch the world, or the shift the regions.
    """
    for name, trainee in trainees.items():
        check_objective(name, trainee, dataset)
    check_shift(dataset, train.shift_px)
    batch_shares(train, len(dataset), world)
    if world.is_main:
        check_writable(resume_dir)
    keep_freed_memory()
    with lost_ranks_named(world):
        run = _Run(trainees, dataset, train, epochs, machine, world, resume_dir, logger, validate)
        run.go()
    return run.progress.history


class _Run:
    """The state of one call of train_networks."""

    def __init__(
        self,
        trainees: Mapping[str, Trainee],
        dataset: TrainingSet,
        train: Train,
        epochs: int,
        machine: Machine,
        world: World,
        resume_dir: Path,
        logger: Logger,
        validate: Validate | None,
    ) -> None:
        self.dataset = replace(dataset, kept_bytes=machine.kept_images_mib * 2**20)
        self.settings, self.epochs, self.machine, self.world = train, epochs, machine, world
        self.resume_dir, self.logger, self.validate = resume_dir, logger, validate
        self.share, self.micro_batch = batch_shares(train, len(dataset), world)
        self.steps_per_epoch = steps_per_epoch(len(dataset), train.batch_size)
        self.num_steps = epochs * self.steps_per_epoch
        self.num_warmup_steps = round(train.warmup_epochs * self.steps_per_epoch)
        self.names = list(trainees)
        in_pairs = any(trainee.network.in_pairs for trainee in trainees.values())
        self.partners = Partners(dataset.labels) if in_pairs else None
        self.images_per_sample = 2 if in_pairs else 1
        self.learners = [Learner(some, train, world) for some in side_by_side(trainees, self.micro_batch, world)]
        self.about = training_about(self.learners, train, epochs, dataset)
        self.progress = load_checkpoint(resume_dir, self.learners, self.about)
        check_agreement(self.progress.step, world)
        self.sharded_heads = {
            name: trainee.head for name, trainee in trainees.items() if isinstance(trainee.head, PartialFC)
        }
        if self.progress.step:
            for name, head in self.sharded_heads.items():
                load_shards(resume_dir / name, head)
        self.wait_s, self.row_step, self.row_time = 0.0, self.progress.step, time.monotonic()

    def go(self) -> None:
        """Train to the end, or to a signal."""
        vote = StopVote(self.world)
        with stop_request() as stop, contextlib.closing(self.batches()) as batches:
            while self.progress.step < self.num_steps:
                asked = time.monotonic()
                batch = next(batches)
                self.wait_s += time.monotonic() - asked
                self.take_step(batch)
                stops = vote.cast(stop.made)
                logs, validates, saves, last = self.due()
                if logs or validates or saves or stops:
                    self.collect()
                if logs or validates:
                    self.log_row(self.validated() if validates else {})
                if (saves or stops) and not last:
                    self.save()
                if stops and not last:
                    raise Interrupted(
                        f"A signal stopped the training after step {self.progress.step} of {self.num_steps}; "
                        "run it again to go on from there.",
                        where=self.resume_dir,
                    )
        vote.finish()
        for learner in self.learners:
            learner.agree()
            learner.finish()

    def plan(self, epoch: int) -> npt.NDArray[np.int64]:
        """This rank's samples of each step of an epoch, (steps_per_epoch, share)."""
        return epoch_plan(len(self.dataset), self.world.size, self.world.rank, self.share, self.settings.seed, epoch)

    def batches(self) -> Generator[Batch, None, None]:
        """This rank's batches of the steps that are still to do, loaded ahead."""
        model = next(iter(self.learners[0].trainees.values()))  # several views are of networks and heads of one kind
        draw, needs_noise = model.network.draw, model.head.needs_noise

        def items() -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
            first_epoch, skip = divmod(self.progress.step, self.steps_per_epoch)
            for epoch in range(first_epoch, self.epochs):
                yield from ((epoch, samples) for samples in self.plan(epoch)[skip if epoch == first_epoch else 0 :])

        def load(item: tuple[int, npt.NDArray[np.int64]]) -> Batch:
            epoch, samples = item
            shift_px, seed = self.settings.shift_px, self.settings.seed
            batch = load_batch(self.dataset, samples, shift_px, seed, epoch, draw, needs_noise, self.partners)
            return pinned(batch) if self.world.device.type == "cuda" else batch

        return load_ahead(load, items(), self.machine.threads_per_process)

    def take_step(self, batch: Batch) -> None:
        """One step of every network."""
        views = iter(range(len(self.names)))
        for learner in self.learners:
            own = list(itertools.islice(views, len(learner.trainees)))
            parts = micro_batches(batch, own, self.micro_batch * self.images_per_sample, self.world.device)
            learner.take_step(parts, self.rate(self.progress.step))
        self.progress.step += 1

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        epochs = self.settings.decay_epochs
        decays = None if epochs is None else [epoch * self.steps_per_epoch for epoch in epochs]
        return learning_rate(step, self.num_steps, self.num_warmup_steps, self.settings.learning_rate, decays)

    def due(self) -> tuple[bool, bool, bool, bool]:
        """After a step: is a row due, a validation, a checkpoint, and was it the last; the same on all ranks."""
        done = self.progress.step
        last = done == self.num_steps
        every = self.settings.validate_every_epochs
        validates = self.validate is not None and every is not None
        return (
            done % self.machine.log_every_steps == 0 or last,
            validates and (last or done % ((every or 1) * self.steps_per_epoch) == 0),
            done % self.machine.checkpoint_every_steps == 0,
            last,
        )

    def collect(self) -> None:
        """Gather losses and gradient norms of the steps since the last call from all ranks.

        Raises:
            PipelineError: a loss is not finite; on all ranks alike.
        """
        figures = torch.cat([learner.figures() for learner in self.learners])  # (V,2,n)
        gathered = gather(figures.flatten(), self.world).view(self.world.size, *figures.shape)
        if not torch.isfinite(gathered[:, :, 0]).all():
            self.refuse(gathered[:, :, 0])
        self.progress.pending += gathered.double().mean(dim=0).flatten(0, 1).t().tolist()  # n rows of 2 V numbers

    def refuse(self, losses: torch.Tensor) -> None:
        """Name the first step whose losses (ranks, networks, steps) are not all finite, with its ranks and images."""
        bad = ~torch.isfinite(losses)
        first = int(bad.flatten(0, 1).any(dim=0).nonzero()[0, 0])
        ranks = bad[:, :, first].any(dim=1).nonzero()[:, 0].tolist()
        networks = [name for name, is_bad in zip(self.names, bad[:, :, first].any(dim=0), strict=True) if is_bad]
        step = self.progress.step - losses.shape[2] + first + 1
        epoch, place = divmod(step - 1, self.steps_per_epoch)
        plan = epoch_plan(len(self.dataset), self.world.size, ranks[0], self.share, self.settings.seed, epoch)
        images = [self.dataset.name(int(sample)) for sample in plan[place][:MAX_NAMED]]
        raise PipelineError(
            f"The loss of step {step} is not finite on rank {', '.join(map(str, ranks))}; "
            "lower train.learning_rate, lengthen train.warmup_epochs, or look at the images.",
            got=f"{losses[ranks[0]][bad[ranks[0]][:, first], first][0].item()} for {', '.join(networks)}",
            where=f"epoch {epoch}, learning rate {self.rate(step - 1):.5g}, rank {ranks[0]}'s batch of {self.share}: "
            + ", ".join(images)
            + (", ..." if self.share > MAX_NAMED else ""),
        )

    def validated(self) -> Row:
        """What the validation set says of the networks as they would come out now."""
        assert self.validate is not None, "due() asks for a validation only then"
        with contextlib.ExitStack() as stack:
            networks: dict[str, FaceNetwork] = {}
            for learner in self.learners:
                learner.agree()
                networks |= stack.enter_context(learner.results())
            return self.validate(networks)

    def log_row(self, validated: Row) -> None:
        """Turn the collected figures into a row of the history, and show it."""
        done, now = self.progress.step, time.monotonic()
        losses, norms = np.array(self.progress.pending).mean(axis=0).reshape(-1, 2).T
        row = {
            "step": done,
            "epoch": round(done / self.steps_per_epoch, 4),
            "loss": float(losses.mean()),
            "gradient_norm": float(norms.mean()),
            "learning_rate": self.rate(done - 1),
            "images_per_s": (done - self.row_step)
            * self.settings.batch_size
            * self.images_per_sample
            / (now - self.row_time),
            "data_wait_share": self.wait_s / (now - self.row_time),
            "peak_memory_bytes": float(peak_memory_bytes(self.world.device)),
            **validated,
        }
        if len(self.names) > 1:
            row |= {f"loss.{name}": float(loss) for name, loss in zip(self.names, losses, strict=True)}
        self.progress.history.append(row)
        self.progress.pending = []
        if self.world.is_main:
            log.info(
                "step %d/%d, epoch %.2f: loss %.4f, rate %.5f, %.1f images/s, %.1f %% of the time waiting for data%s",
                *(done, self.num_steps, row["epoch"], row["loss"], row["learning_rate"], row["images_per_s"]),
                100 * row["data_wait_share"],
                "".join(f", {name} {value:.4f}" for name, value in validated.items()),
            )
            self.logger({name: value for name, value in row.items() if name != "step"}, done)
        self.wait_s, self.row_step, self.row_time = 0.0, done, time.monotonic()

    def save(self) -> None:
        """Write the checkpoint: rank 0 what all ranks hold alike, each rank its shards of the heads."""
        for learner in self.learners:
            learner.agree()
        for name, head in self.sharded_heads.items():
            save_shards(self.resume_dir / name, head)
        if self.world.is_main:
            save_checkpoint(self.resume_dir, self.learners, self.progress, self.about)
            for name in self.names:
                remove_other_steps(self.resume_dir / name, self.progress.step)
