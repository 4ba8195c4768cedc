"""Networks from their section of params.yaml to their files: import, training, history and figures."""

import csv
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.world import World
from pipeline_lib.networks.backbones.shared.build import describe
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.heads.shared.class_weights import ClassWeights, class_weights, save_class_weights
from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.networks.training.loop import Logger, Row, Validate, train_networks
from pipeline_lib.networks.training.partners import Partners
from pipeline_lib.networks.training.trainee import new_trainee
from pipeline_lib.params.machine import Machine
from pipeline_lib.params.networks import Trained
from pipeline_lib.params.train import Train

FIRST_COLUMNS = ("step", "epoch", "loss", "learning_rate")  # of history.csv; an import's has these alone, and no row
HEADLINE = ("loss", "val_auc")
log = logging.getLogger("face_verifier")


class Fitted(NamedTuple):
    """What training leaves beside the networks: rows, figures by name, and the class weights of networks of whole faces whose
    heads have some, by the network's name.
    """

    history: list[Row]
    figures: Row
    classes: dict[str, ClassWeights]


def resume_folder(out: Path) -> Path:
    """Where a network's training state is kept: .resume/<parent>/<name> of its output folder.

    Outside that folder, because DVC deletes a stage's outputs before it runs it again.
    """
    return Path(".resume", out.parent.name, out.name)


def fit(
    networks: Mapping[str, FaceNetwork],
    dataset: TrainingSet,
    head: ObjectiveSettings,
    train: Train,
    epochs: int,
    machine: Machine,
    world: World,
    out: Path,
    logger: Logger,
    validate: Validate | None,
) -> Fitted:
    """Train `networks` with fresh heads and describe what was done.

    Returns:
        The figures are images, identities, parameters (of all networks), steps, what the last row says,
        speed and data-wait share of the whole training, and the wall time of this call, less than the training's if it
        was resumed. Of networks in pairs also num_alone, the images that no genuine pair can be made of.

    Raises:
        As loop.train_networks.
    """
    num_classes = len(dataset.classes)
    log.info("training %d networks on %d images of %d identities", len(networks), len(dataset), num_classes)
    trainees = {name: new_trainee(network, head, train, num_classes) for name, network in networks.items()}
    in_pairs = any(network.in_pairs for network in networks.values())
    started = time.monotonic()
    history = train_networks(trainees, dataset, train, epochs, machine, world, resume_folder(out), logger, validate)
    last = {name: value for name, value in history[-1].items() if name not in ("step", "epoch", "learning_rate")}
    figures = {
        **size_figures(networks),
        "num_images": len(dataset),
        "num_identities": num_classes,
        "num_steps": history[-1]["step"],
        **({"num_alone": Partners(dataset.labels).num_alone} if in_pairs else {}),
        **last,
        **means_over_time(history),
        "wall_time_s": round(time.monotonic() - started, 1),
    }
    of_faces = {name: one for name, one in trainees.items() if one.network.spec.input_px == FACE_PX}
    classes = {name: class_weights(one.head, dataset.classes) for name, one in of_faces.items()}
    return Fitted(history, figures, {name: weights for name, weights in classes.items() if weights is not None})


def size_figures(networks: Mapping[str, FaceNetwork]) -> Row:
    """The figures that networks have without training: num_parameters of all together, and num_steps 0."""
    parameters = (parameter for network in networks.values() for parameter in network.parameters())
    return {"num_parameters": sum(parameter.numel() for parameter in parameters), "num_steps": 0}


def write_fitted(networks: Mapping[Path, FaceNetwork], fitted: Fitted, entry: Trained, record: Path) -> None:
    """Write each network and its class weights to its folder, history.csv, metrics.json and headline.json to `record`.

    metrics.json is the figures and, of what was trained, `epochs`, `head`, `checkpoint` and `teacher` of its entry in params,
    `trained` (false for weights that were only imported), `arch` and `description` (of the first network: all are of one kind).
    headline.json is what `dvc metrics show` and `dvc exp show` have room for: the figures of HEADLINE that there are.
    """
    for folder, network in networks.items():
        save_network(folder, network)
        if folder.name in fitted.classes:
            save_class_weights(folder, fitted.classes[folder.name])
    write_history(record / "history.csv", fitted.history, FIRST_COLUMNS)
    first = next(iter(networks.values()))
    words = describe(first.spec) + (f", taught by {first.taught_by}" if first.taught_by else "")
    about = {"trained": entry.epochs > 0, "arch": first.spec.arch, "description": words}
    of_entry = entry.model_dump(include={"epochs", "head", "checkpoint", "teacher"})
    write_json(record / "metrics.json", {**fitted.figures, **about, **of_entry})
    write_json(record / "headline.json", {name: fitted.figures[name] for name in HEADLINE if name in fitted.figures})


def write_history(path: Path, history: list[Row], first_columns: Sequence[str] = ()) -> None:
    """Write rows as CSV: `first_columns` first, then the others as they come; empty where a row lacks one."""
    columns = list(dict.fromkeys([*first_columns, *(name for row in history for name in row)]))
    with atomic_file(path) as partial, partial.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="")
        writer.writeheader()
        writer.writerows(history)


def forget_training(out: Path) -> None:
    """Delete the training state of `out`, once all that the training was for is written."""
    shutil.rmtree(resume_folder(out), ignore_errors=True)


def means_over_time(history: list[Row]) -> Row:
    """images_per_s and data_wait_share of the whole training from those of its rows."""
    ends = [row["step"] for row in history]
    steps = [end - start for start, end in zip([0.0, *ends], ends, strict=False)]
    times = [num / row["images_per_s"] for num, row in zip(steps, history, strict=True)]  # in units of a batch a second
    waits = [row["data_wait_share"] * time for row, time in zip(history, times, strict=True)]
    return {"images_per_s": sum(steps) / sum(times), "data_wait_share": sum(waits) / sum(times)}
