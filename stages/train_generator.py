"""train_generator@name: a generator of fake faces, and how near its faces come to the training faces."""

from pathlib import Path
from typing import Annotated

import torch
import typer

from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.core.tables import write_table
from pipeline_lib.core.world import current_world
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.generator.architecture import FakeFaces
from pipeline_lib.networks.generator.game import LOSSES
from pipeline_lib.networks.generator.judged import judge_fakes
from pipeline_lib.networks.generator.loop import train_generator
from pipeline_lib.networks.generator.pictures import draw_sheet
from pipeline_lib.networks.generator.samples import draw_latents, make_faces
from pipeline_lib.networks.generator.torchscript import write_generator
from pipeline_lib.networks.training.fit import forget_training, means_over_time, resume_folder, write_history
from pipeline_lib.networks.training.labelled_images import training_faces
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.generators import Generator
from pipeline_lib.params.load import read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.schemas.nearest_faces import NEAREST_FACES
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    generator: Annotated[str, typer.Option()],
    judge: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Train generators.<generator>, then hold fakes of it against the training faces."""
    settings, embed = read_entry("generators", generator, Generator), read_section("embed", Embed)
    machine, device = load_machine(), current_world().device
    torch.set_num_threads(machine.threads_per_process)
    logged = {"generators": {generator: settings.model_dump()}, "embed": embed.model_dump()}
    inputs = {"aligned": aligned / "shards", "judge": judge}
    with stage_run(f"train_generator@{generator}", params=logged, inputs=inputs, live=True) as run:
        dataset = training_faces(aligned, None, shards_url=machine.shards_url)
        network, history = train_generator(settings, dataset, machine, device, resume_folder(out), run.log_metrics)
        write_generator(out / "generator.pt", network)
        write_history(out / "history.csv", history)

        latents = draw_latents(settings.num_judged, settings.latent_dim, settings.seed, settings.num_steps)
        fakes = make_faces(FakeFaces(network), latents, device, machine.images_per_batch)
        model = folded(load_network(judge)).to(device)
        real, size = ShardImages(aligned, machine.shards_url), machine.images_per_batch
        judged = judge_fakes(fakes, real, model, embed.mirror, size, settings.seed)
        write_table(out / "nearest.parquet", judged.table, NEAREST_FACES)
        pictures = {"sheet": draw_sheet(fakes), **{f"nearest_{name}": strip for name, strip in judged.strips.items()}}
        for name, picture in pictures.items():
            with atomic_file(out / f"{name}.png") as partial:
                partial.write_bytes(encode_png(picture))

        figures = {
            "num_images": len(dataset),
            "num_identities": len(dataset.classes),
            "num_steps": settings.num_steps,
            "num_parameters": sum(parameter.numel() for parameter in network.parameters()),
            "num_judged": settings.num_judged,
            **{name: history[-1][name] for name in LOSSES},
            **means_over_time(history),
            **judged.figures,
        }
        write_json(out / "metrics.json", figures)
        run.log_metrics(figures, settings.num_steps)
        forget_training(out)


if __name__ == "__main__":
    run_stage(main)
