"""rerank@entry: occluded test images against the clean ones, by cosine and re-ranked by patch-wise EMD."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow.compute as pc
import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.core.tables import read_table, write_table
from pipeline_lib.core.texts import Texts, as_texts
from pipeline_lib.matching.emd.sinkhorn import Sinkhorn
from pipeline_lib.matching.retrieval.results import metrics_by_kind, ranks_table
from pipeline_lib.matching.retrieval.stored_faces import stored_faces
from pipeline_lib.matching.retrieval.two_stage import rank_two_stages
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.load import read_entry
from pipeline_lib.params.rerank import Rerank
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.tracking.stage_run import flatten, stage_run
from stages.common import run_stage


def main(
    entry: Annotated[str, typer.Option()],
    gallery: Annotated[Path, typer.Option()],
    occlusions: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Rank the clean test images for every occluded one, before and after stage 2; write ranks and metrics."""
    params = read_entry("rerank", entry, Rerank)
    inputs = {"gallery": gallery, "occlusions": occlusions}
    with stage_run(f"rerank@{entry}", params={"rerank": {entry: params.model_dump()}}, inputs=inputs) as run:
        store = read_embeddings(gallery)
        drawn = read_table(occlusions, OCCLUSIONS)
        drawn = drawn.filter(pc.equal(drawn["purpose"], "query"))
        kinds = Texts(drawn["kind"])
        is_clean_test = [split == "test" and not kind for split, kind in zip(store.splits, store.kinds, strict=True)]
        clean_test = as_texts(store.keys).take(np.flatnonzero(is_clean_test))
        queries = stored_faces(store, gallery, Texts(drawn["key"]), params.pool)
        found = stored_faces(store, gallery, clean_test, params.pool)
        ranking = rank_two_stages(
            queries,
            found,
            top_k=params.top_k,
            alpha=params.alpha,
            weights=params.weights,
            settings=Sinkhorn(params.regularisation, params.tolerance, params.max_iterations),
        )
        metrics = metrics_by_kind(ranking, kinds)
        write_table(out / "ranks.parquet", ranks_table(ranking, queries, found, kinds), RANKS)
        write_json(out / "metrics.json", metrics)
        run.log_metrics({name: float(value) for name, value in flatten(metrics).items()})


if __name__ == "__main__":
    run_stage(main)
