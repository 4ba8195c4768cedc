"""Stage explain@entry: the maps of sampled test pairs by one method, how faithful they are, and pictures."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.world import current_world
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.embed import Embed
from pipeline_lib.params.explain import Explain, Explanation
from pipeline_lib.params.load import PARAMS_FILE, read_entry, read_section
from pipeline_lib.params.machine import load_machine
from pipeline_lib.params.section import NONE
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.why.explain_pairs import explain_pairs
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.explanation import KINDS, check_offers
from pipeline_lib.why.explanation.shared.pair_sample import sample
from pipeline_lib.why.explanation.shared.threshold import decision_of
from pipeline_lib.why.faithfulness.measures import all_measures
from pipeline_lib.why.faithfulness.patch_benchmark import clean_protocols
from stages.common import run_stage


def main(
    explanation: Annotated[str, typer.Option()],
    network: Annotated[Path, typer.Option()],
    beside: Annotated[Path, typer.Option("--with")],
    embedded: Annotated[Path, typer.Option()],
    pairs: Annotated[Path, typer.Option()],
    aligned: Annotated[Path, typer.Option()],
    out: Annotated[Path, typer.Option()],
) -> None:
    """Explain pairs, measure how faithful the maps are, and draw some."""
    entry, params = read_entry("explanations", explanation, Explanation), read_section("explain", Explain)
    embed, where = read_section("embed", Embed), f"{PARAMS_FILE}, explanations.{explanation}"
    kind, settings = kind_settings(KINDS, entry.kind, entry.own, where)
    logged = {"explanation": entry.model_dump(), "explain": params.model_dump(), "embed": embed.model_dump()}
    inputs = {"network": network, "with": beside, "embedded": embedded, "pairs": pairs, "aligned": aligned}
    with stage_run(f"explain@{explanation}", params=logged, inputs=inputs) as run:
        device = current_world().device
        explained = folded(load_network(network)).to(device)
        check_offers(explained, kind.REQUIRES, where)
        over = None if entry.with_ == NONE else load_network(beside).to(device)
        threshold, confidence = decision_of(embedded, pairs)
        per_batch = load_machine().images_per_batch
        embedder = Embedder(explained, embed.mirror, per_batch, threshold, over, confidence=confidence)
        images = ShardImages(aligned)
        split_of, identity_of = (
            dict(zip(images.image_ids, texts, strict=True)) for texts in (images.splits, images.identities)
        )
        sampled = list(sample(read_table(pairs, PAIRS), split_of, identity_of, params))
        explain = Explainer(kind, settings, embedder)
        clean = clean_protocols(sampled, embedded, pairs, images)
        measures = all_measures(explanation, explain, params, clean, images)
        metrics = explain_pairs(explanation, explain, measures, sampled, images, out)
        write_json(
            out / "metrics.json", {"kind": entry.kind, "network": entry.network, "settings": entry.own, **metrics}
        )
        run.log_metrics({**metrics, **read_json(out / "latency.json")})
        for picture in sorted((out / "pictures").iterdir()):
            run.log_artifact(picture, "pictures")


if __name__ == "__main__":
    run_stage(main)
