"""claims: what the papers claim, judged by what this run measured."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import write_json
from pipeline_lib.delivery.claims.evidence import read_evidence
from pipeline_lib.delivery.claims.fusion_figures import fusion_figures
from pipeline_lib.delivery.claims.ledger import flat_figures, judge_all, verdicts
from pipeline_lib.params.claims import Claims
from pipeline_lib.params.load import read_section
from pipeline_lib.params.verify import Verify
from pipeline_lib.tracking.stage_run import stage_run
from stages.common import run_stage


def main(data: Annotated[Path, typer.Option()], out: Annotated[Path, typer.Option()]) -> None:
    """Judge every claim on every protocol and write claims.json; and fusion.json, the figures of the networks that fuse two."""
    section, rates = read_section("claims", Claims), read_section("verify", Verify).false_accept_rates
    params = {"claims": section.model_dump(), "verify": {"false_accept_rates": rates}}
    inputs = {"manifest": data / "ingest" / "manifest.parquet", "verified": data / "verify" / "scores.parquet"}
    inputs |= {"networks": data / "networks", "trainings": data / "train", "explained": data / "explain"}
    inputs |= {name: data / name for name in ("scores", "rerank", "networks_over", "train_over", "anchors")}
    inputs |= {"aligned": data / "align" / "shards"}
    with stage_run("claims", params=params, inputs=inputs) as run:
        evidence = read_evidence(data, section.num_bootstrap, section.seed, rates)
        claims = judge_all(evidence)
        write_json(out / "claims.json", claims)
        write_json(out / "fusion.json", fusion_figures(evidence))
        run.log_metrics(flat_figures(claims))
        run.set_tags(verdicts(claims))
        run.log_artifact(out / "claims.json")


if __name__ == "__main__":
    run_stage(main)
