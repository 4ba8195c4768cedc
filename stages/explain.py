"""Stage explain@entry: the maps of sampled test pairs by one method, how faithful they are, and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.explain import Explain, Explanation
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import KINDS, check_offers
from pipeline_lib.why.explanation.shared.map_file import open_maps
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, TIES, sample
from pipeline_lib.why.explanation.shared.pictures import pair_picture
from pipeline_lib.why.explanation.shared.threshold import threshold_of
from pipeline_lib.why.faithfulness import measure
from stages.common import run_stage


def main(
    explanation: Annotated[str, typer.Option()],
    network: Annotated[Path, typer.Option()],
    embedded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Explain pairs, measure insertion and deletion of the maps, and draw some."""
    entry, params = read_entry("explanations", explanation, Explanation), read_section("explain", Explain)
    embed, where = read_section("embed", Embed), f"{PARAMS_FILE}, explanations.{explanation}"
    kind, settings = kind_settings(KINDS, entry.kind, entry.own, where)
    logged = {"explanation": entry.model_dump(), "explain": params.model_dump(), "embed": embed.model_dump()}
    inputs = {"network": network, "embedded": embedded, "pairs": pairs, "aligned": aligned}
    with stage_run(f"explain@{explanation}", params=logged, inputs=inputs) as run:
        explained = load_network(network).to(current_world().device)
        check_offers(explained, kind.REQUIRES, where)
        decides_at = threshold_of(embedded, pairs) if kind.REQUIRES == "gradients" else None
        embedder = Embedder(explained, embed.mirror, load_machine().images_per_batch, decides_at)
        images = ShardImages(aligned)
        row_of = {image_id: row for row, image_id in enumerate(images.image_ids)}
        split_of = zip(images.image_ids, images.splits, strict=True)
        sampled = list(sample(read_table(pairs, PAIRS), dict(split_of), params))
        curves, errors, names = [], [], list[str]()
        with open_maps(out / "maps.arrow") as maps, atomic_dir(out / "pictures") as pictures:
            for pair in track(sampled, f"explaining by {explanation}", total=len(sampled)):
                rows = [row_of[pair.image_a], row_of[pair.image_b]]
                faces = embedder.pair(images.read(rows), with_patches=kind.REQUIRES == "additive")
                found = kind.explain(embedder, faces, settings, pair.rng(EXPLANATION))
                maps.write(pair.image_a, pair.image_b, pair.genuine, found)
                errors.append(found.additivity_error)
                if pair.is_measured:
                    curves.append(measure.measure_pair(embedder, faces, found.maps, params, pair.rng(TIES)))
                if pair.is_shown:
                    names.append(f"{len(names):02d}_{pair.kind}.png")
                    (pictures / names[-1]).write_bytes(pair_picture(faces.images, found, caption=f"{pair.kind} pair"))
        measured = [pair for pair in sampled if pair.is_measured]
        faithfulness = table_from_rows(measure.faithfulness_rows(explanation, measured, curves), FAITHFULNESS)
        write_table(out / "faithfulness.parquet", faithfulness, FAITHFULNESS)
        measure.write_mean_curves(out / "curves.csv", explanation, curves)
        metrics = {**measure.summarise(curves), **measure.additivity(errors), "num_pairs": len(measured)}
        write_json(out / "metrics.json", metrics)
        run.log_metrics(metrics)
        for name in names:
            run.log_artifact(out / "pictures" / name, "pictures")


if __name__ == "__main__":
    run_stage(main)
