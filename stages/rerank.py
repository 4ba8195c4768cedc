"""Stage rerank: occluded test images against the clean ones, by cosine and re-ranked by patch-wise EMD."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.emd.weights import pool_grid
from pipeline_lib.matching.retrieval.results import metrics_by_kind, ranks_table
from pipeline_lib.matching.retrieval.two_stage import Faces, rank_two_stages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, read_embeddings, read_patches
from pipeline_lib.params.load import load_params
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.tracking.stage_run import flatten, stage_run
from stages.common import run_stage


def main(
    embedded: Annotated[Path, typer.Option()],
    occlusions: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Rank the clean test images for every occluded one, before and after stage 2; write ranks and metrics."""
    params = load_params().rerank
    inputs = {"embedded": embedded, "occlusions": occlusions}
    with stage_run("rerank", params={"rerank": params.model_dump()}, inputs=inputs) as run:
        store = read_embeddings(embedded)
        drawn = [row for row in read_table(occlusions, OCCLUSIONS).to_pylist() if row["purpose"] == "query"]
        kinds = [row["kind"] for row in drawn]
        clean_test = [
            key
            for key, split, kind in zip(store.keys, store.splits, store.kinds, strict=True)
            if split == "test" and not kind
        ]
        queries = _faces(store, embedded, [row["key"] for row in drawn], params.pool)
        gallery = _faces(store, embedded, clean_test, params.pool)
        ranking = rank_two_stages(
            queries,
            gallery,
            top_k=params.top_k,
            alpha=params.alpha,
            weights=params.weights,
            settings=Sinkhorn(params.regularisation, params.tolerance, params.max_iterations),
        )
        metrics = metrics_by_kind(ranking, kinds)
        write_table(out / "ranks.parquet", ranks_table(ranking, queries, gallery, kinds), RANKS)
        write_json(out / "metrics.json", metrics)
        run.log_metrics({name: float(value) for name, value in flatten(metrics).items()})


def _faces(store: EmbeddingSet, folder: Path, keys: list[str], pool: int) -> Faces:
    """The rows `keys` of an embedding set with their patches, averaged 2x2 if pool is 2."""
    rows = store.rows(keys)
    patches = read_patches(folder, keys)
    if pool == 2 and store.grid is not None:
        patches = pool_grid(patches, store.grid)
    image_ids, identities = [store.image_ids[row] for row in rows], [store.identities[row] for row in rows]
    return Faces(keys, image_ids, identities, store.vectors[rows], patches)


if __name__ == "__main__":
    run_stage(main)
