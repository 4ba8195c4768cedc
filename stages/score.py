"""score@entry: one entry of `scores` on every pair whose faces were aligned, a column each."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.matching.scores.shared.columns import open_entry, scored_columns
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.table import ScoreColumn, score_table, write_scores
from pipeline_lib.params.load import read_entry
from pipeline_lib.params.scores import Score
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    score: Annotated[str, typer.Option()],
    of: Annotated[Path, typer.Option()],
    with_: Annotated[Path, typer.Option("--with")],
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Score the pairs and write them with the entry's columns."""
    entry = read_entry("scores", score, Score)
    inputs = {"pairs": pairs, "aligned": aligned, "of": of, "with": with_}
    with stage_run(f"score@{score}", params={"scores": {score: entry.model_dump(by_alias=True)}}, inputs=inputs) as run:
        reads = Reads(of, with_, aligned, read_pairs(pairs, aligned))
        scorers = open_entry(score, entry, reads)
        values = scored_columns(scorers, reads)
        columns = {name: ScoreColumn(entry.kind, each.is_cosine, each.in_headline) for name, each in scorers.items()}
        write_scores(out, score_table(reads.pairs.table, values, columns, entry))
        run.log_metrics({"num_pairs": reads.pairs.table.num_rows, "num_columns": len(columns)})


if __name__ == "__main__":
    run_stage(main)
