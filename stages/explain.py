"""Stage explain@network: RRFNet's own maps of test pairs, their faithfulness, and pictures."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_dir, atomic_file, write_json
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.tracking.stage_run import flatten, stage_run
from pipeline_lib.why.explanation.shared.pictures import pair_picture
from pipeline_lib.why.explanation.shared.rrf_pair import Embedder, Images, explain_pair, to_network_space
from pipeline_lib.why.faithfulness.pair_sample import Pair, sample_pairs
from pipeline_lib.why.faithfulness.rrf_benchmark import faithfulness_rows, mean_curve_rows, measure_pair, summarise
from stages.common import run_stage


def main(
    network: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Measure insertion and deletion of the own and the random map, and draw some pairs."""
    params = load_params().explain
    logged = {"explain": params.model_dump(exclude={"networks"})}
    inputs = {"network": network, "pairs": pairs, "aligned": aligned}
    with stage_run(f"explain@{network.name}", params=logged, inputs=inputs) as run:
        embedder = Embedder(load_network(network).to(current_world().device), params.batch_size)
        table, images = read_table(pairs, PAIRS), ShardImages(aligned)
        row_of = {image_id: row for row, image_id in enumerate(images.image_ids)}
        split_of = dict(zip(images.image_ids, images.splits, strict=True))

        def read(pair: Pair) -> Images:
            return images.read([row_of[image_id] for image_id in pair])

        num_genuine = (params.num_pictures + 1) // 2
        genuine = sample_pairs(table, split_of, True, max(params.num_pairs, num_genuine), params.seed)
        impostor = sample_pairs(table, split_of, False, params.num_pictures - num_genuine, params.seed)
        measured = genuine[: params.num_pairs]
        curves, errors = [], []
        for number, pair in enumerate(track(measured, f"explaining with {network.name}", total=len(measured))):
            faces, seed = to_network_space(read(pair)), (params.seed, number)
            found, error = measure_pair(embedder, faces, params.num_steps, params.insertion_blur_sigma_px, seed)
            curves.append(found)
            errors.append(error)

        with atomic_dir(out / "pictures") as folder:
            shown = [("genuine", pair) for pair in genuine[:num_genuine]] + [("impostor", pair) for pair in impostor]
            for number, (kind, pair) in enumerate(shown):
                (folder / f"{number:02d}_{kind}.png").write_bytes(_picture(embedder, read(pair), f"{kind} pair"))
        with atomic_file(out / "curves.csv") as partial, partial.open("w", newline="") as handle:
            csv.writer(handle).writerows([("method", "metric", "share", "mean_score"), *mean_curve_rows(curves)])
        metrics = {**summarise(curves), "additivity_max_error": max(errors), "num_pairs": len(measured)}
        rows = faithfulness_rows(measured, curves)
        write_table(out / "faithfulness.parquet", table_from_rows(rows, FAITHFULNESS), FAITHFULNESS)
        write_json(out / "metrics.json", metrics)
        run.log_metrics({name: float(value) for name, value in flatten(metrics).items()})
        for path in sorted((out / "pictures").glob("*.png")):
            run.log_artifact(path, "pictures")


def _picture(embedder: Embedder, faces: Images, caption: str) -> bytes:
    explained = explain_pair(embedder, to_network_space(faces))
    face_a, face_b = faces
    return pair_picture(face_a, face_b, *explained.maps, explained.terms, embedder.network.grid, caption=caption)


if __name__ == "__main__":
    run_stage(main)
