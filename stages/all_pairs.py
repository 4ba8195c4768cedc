"""all_pairs@entry: every face of a split against every other one, by cosine and DAM."""

import csv
from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import atomic_file, write_json
from pipeline_lib.matching.verification.all_pairs import tars
from pipeline_lib.matching.verification.low_rates import scored_all_pairs
from pipeline_lib.params.all_pairs import AllPairs
from pipeline_lib.params.load import read_entry
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(
    entry: Annotated[str, typer.Option()],
    of: Annotated[Path, typer.Option()],
    with_: Annotated[Path, typer.Option("--with")],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Write the figures of each score, and its curve down to the lowest rate that the pairs tell."""
    section = read_entry("all_pairs", entry, AllPairs)
    logged = {"all_pairs": {entry: section.model_dump(by_alias=True)}}
    with stage_run(f"all_pairs@{entry}", params=logged, inputs={"of": of, "with": with_}) as run:
        metrics: dict[str, dict[str, float]] = {}
        points: list[tuple[str, float, float]] = []
        for score, found in scored_all_pairs(section, of, with_):
            counts = {"num_genuine": len(found.genuine), "num_impostor": found.num_impostor}
            metrics[score] = counts | tars(found, section.false_accept_rates)
            points += [(score, float(far), float(tar)) for far, tar in zip(*found.curve(), strict=True)]
        write_json(out / "metrics.json", metrics)
        with atomic_file(out / "roc.csv") as partial, partial.open("w", newline="") as handle:
            csv.writer(handle).writerows([("score", "far", "tar"), *points])
        run.log_metrics(
            {
                f"{score}/{name}".replace("@", "_at_"): value
                for score, each in metrics.items()
                for name, value in each.items()
            }
        )


if __name__ == "__main__":
    run_stage(main)
