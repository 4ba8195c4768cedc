"""One network from its section of params.yaml to its files: import, training, history and figures."""

import csv
import logging
import shutil
import time
from pathlib import Path

from pipeline_lib.backbones.build import build_network
from pipeline_lib.backbones.checkpoints import import_weights, save_network
from pipeline_lib.backbones.network import FaceNetwork
from pipeline_lib.backbones.spec import NetworkSpec
from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.core.world import World
from pipeline_lib.heads.build import build_head
from pipeline_lib.training.data import TrainingSet
from pipeline_lib.training.loop import Logger, Row, train_network
from pipeline_lib.training.settings import TrainSettings

HISTORY_COLUMNS = ("step", "epoch", "loss", "learning_rate", "images_per_s")
log = logging.getLogger("face_verifier")


def resume_folder(out: Path) -> Path:
    """Where a network's training state is kept: .resume/<parent>/<name> of its output folder.

    Outside that folder, because DVC deletes a stage's outputs before it runs it again.
    """
    return Path(".resume", out.parent.name, out.name)


def initial_network(spec: NetworkSpec, seed: int, checkpoint: str | None) -> FaceNetwork:
    """A network with drawn weights, or with those of a published checkpoint.

    Raises:
        CheckpointError: the checkpoint is missing, unreadable, or of another network.
    """
    network = build_network(spec, seed)
    if checkpoint is not None:
        import_weights(network, Path(checkpoint))
        log.info("imported the weights of %s", checkpoint)
    return network


def fit(
    network: FaceNetwork, dataset: TrainingSet, settings: TrainSettings, world: World, out: Path, logger: Logger
) -> tuple[list[Row], dict[str, float]]:
    """Train `network` with a fresh head and describe what was done.

    Returns:
        The history (loop.train_network), and figures by name: images, identities, parameters, steps, the last rows'
        loss and speed, and the wall time of this call (less than the training's if it was resumed).

    Raises:
        As loop.train_network.
    """
    log.info("training on %d images of %d identities", len(dataset), len(dataset.classes))
    head = build_head(settings.head, network.spec.embedding_dim, len(dataset.classes), settings.seed)
    started = time.monotonic()
    history = train_network(network, head, dataset, settings, world, resume_folder(out), logger)
    last = history[-1]
    return history, {
        **size_figures(network),
        "num_images": len(dataset),
        "num_identities": len(dataset.classes),
        "num_steps": last["step"],
        "loss": last["loss"],
        "images_per_s": last["images_per_s"],
        "wall_time_s": round(time.monotonic() - started, 1),
    }


def size_figures(network: FaceNetwork) -> dict[str, float]:
    """The figures that a network has without training: num_parameters, and num_steps 0."""
    return {"num_parameters": sum(parameter.numel() for parameter in network.parameters()), "num_steps": 0}


def write_fitted(
    network: FaceNetwork, history: list[Row], figures: dict[str, float], trained: bool, out: Path, log_folder: Path
) -> None:
    """Write the network to `out`, history.csv and metrics.json to `log_folder`, and delete the training state.

    metrics.json is the figures and `trained`, false for weights that were only imported; history.csv has then no rows.
    """
    save_network(out, network)
    with atomic_file(log_folder / "history.csv") as partial, partial.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, HISTORY_COLUMNS)
        writer.writeheader()
        writer.writerows(history)
    write_json(log_folder / "metrics.json", {**figures, "trained": trained})
    shutil.rmtree(resume_folder(out), ignore_errors=True)
