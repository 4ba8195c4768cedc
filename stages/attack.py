"""attack@entry: test images perturbed against a network of the run, as queries for the run's own gallery and nobody else's."""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.attack.attacked_set import write_attacked_set
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.gallery_and_queries import gallery_rows
from pipeline_lib.params.attacks import Attack
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.load import read_entry, read_section
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    attack: Annotated[str, typer.Option()],
    network: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    occlusions: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Perturb drawn images of the gallery, each against the other images of its own person there."""
    section, embed = read_entry("attacks", attack, Attack), read_section("embed", Embed)
    logged = {"attacks": {attack: section.model_dump()}, "embed": embed.model_dump()}
    inputs = {"network": network, "aligned": aligned, "occlusions": occlusions}
    with stage_run(f"attack@{attack}", params=logged, inputs=inputs) as run:
        gallery = gallery_rows(ShardImages(aligned), read_table(occlusions, OCCLUSIONS))
        surrogate = folded(load_network(network)).requires_grad_(False).to(current_world().device)
        with atomic_dir(out) as folder:
            (folder / "shards").mkdir()
            index, done = write_attacked_set(
                aligned, gallery, folder / "shards", attack, surrogate, embed.mirror, section
            )
            write_table(folder / "index.parquet", index, SHARD_INDEX)
            write_table(folder / "occlusions.parquet", done, OCCLUSIONS)
        said = [json.loads(text) for text in done["drawn"].to_pylist()]
        means = {
            f"mean_{name}": float(np.mean([one[name] for one in said])) for name in ("cosine_before", "cosine_after")
        }
        run.log_metrics({"num_queries": float(len(said)), **means})


if __name__ == "__main__":
    run_stage(main)
