"""rerank@entry: occluded test images against the clean ones, by cosine and re-ranked by a comparison of their places."""

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.tables import write_table
from pipeline_lib.core.texts import as_texts
from pipeline_lib.core.world import current_world
from pipeline_lib.matching.rerankers.shared.reranker import KINDS, Reads
from pipeline_lib.matching.retrieval.results import metrics_by_kind, ranks_table, seconds_table
from pipeline_lib.matching.retrieval.stored_faces import stored_faces
from pipeline_lib.matching.retrieval.two_stage import rank_two_stages
from pipeline_lib.networks.embeddings.means import read_means
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.params.load import PARAMS_FILE, read_entry
from pipeline_lib.params.rerank import Rerank
from pipeline_lib.schemas.ranks import ENTRY, RANKS, SEARCH
from pipeline_lib.schemas.rerank_seconds import RERANK_SECONDS
from pipeline_lib.tracking.stage_run import flatten, stage_run
from stages.common import run_stage

CLEAN = "clean"
MIN_DEPTH = 100  # places that ranks.parquet has of a whole gallery compared


def main(
    entry: Annotated[str, typer.Option()],
    gallery: Annotated[Path, typer.Option()],
    beside: Annotated[Path, typer.Option("--with")],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Rank the clean test images for every query, before and after stage 2; write ranks and metrics."""
    params = read_entry("rerank", entry, Rerank)
    kind, settings = kind_settings(KINDS, params.kind, params.own, f"{PARAMS_FILE}, rerank.{entry}")
    inputs = {"gallery": gallery, "with": beside}
    with stage_run(f"rerank@{entry}", params={"rerank": {entry: params.model_dump()}}, inputs=inputs) as run:
        reranker = kind.open_reranker(settings, Reads(gallery, beside, current_world().device))
        store = read_embeddings(gallery)
        kind_of = [kind or CLEAN for kind in store.kinds]
        is_query = np.array([kind is not None for kind in store.kinds], np.bool_)
        clean_test = as_texts(store.keys).take(np.flatnonzero(~is_query))
        asked, kinds = clean_test, as_texts([CLEAN] * len(clean_test))
        if params.queries == "occluded":
            asked, kinds = (as_texts(texts).take(np.flatnonzero(is_query)) for texts in (store.keys, kind_of))
        mean = read_means(gallery).vector if params.centred else None
        queries, found = (stored_faces(store, gallery, keys, mean) for keys in (asked, clean_test))
        ranking = rank_two_stages(
            queries, found, top_k=params.top_k, alpha=params.alpha, reranker=reranker, index=params.index
        )
        metrics = metrics_by_kind(ranking, kinds)
        depth = max(params.top_k or MIN_DEPTH, int(ranking.num_relevant.max()))
        write_table(out / "ranks.parquet", ranks_table(ranking, queries, found, kinds, depth), RANKS)
        seconds = seconds_table(ranking, queries, kinds, torch.get_num_threads())
        write_table(out / "seconds.parquet", seconds, RERANK_SECONDS)
        search = {"index": params.index, "recall": ranking.recall}
        write_json(out / "metrics.json", {**metrics, ENTRY: params.model_dump(by_alias=True), SEARCH: search})
        speed = len(seconds) * ranking.compared.shape[1] / float(ranking.seconds.sum())
        numbers = {**flatten(metrics), "search/recall": ranking.recall, "pairs_per_s_and_thread": speed}
        # There is no interval of one person.
        run.log_metrics({name: float(value) for name, value in numbers.items() if value != str(None)})


if __name__ == "__main__":
    run_stage(main)
