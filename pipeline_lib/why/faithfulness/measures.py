"""Every measure of an entry of `explanations`."""

from collections.abc import Mapping

from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.params.explain import Explain
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.faithfulness.additivity import Additivity
from pipeline_lib.why.faithfulness.areas import Areas
from pipeline_lib.why.faithfulness.blurring import Blurring
from pipeline_lib.why.faithfulness.latency import Latency
from pipeline_lib.why.faithfulness.measure import Measure
from pipeline_lib.why.faithfulness.patch_benchmark import Clean, PatchBenchmark
from pipeline_lib.why.faithfulness.sanity import Sanity


def all_measures(
    entry: str, explain: Explainer, params: Explain, clean: Mapping[str, Clean], images: ShardImages
) -> list[Measure]:
    """Of one entry.

    Args:
        entry: of params.explanations.
        explain: its method.
        params: see each.
        clean, images: see PatchBenchmark.
    """
    return [
        Latency(entry, explain),  # first: others explain more, and the clock is of the last explanation
        Areas(entry, explain.embedder, params),
        Additivity(),
        Blurring(entry, explain.embedder, params),
        Sanity(entry, explain),
        PatchBenchmark(entry, explain, images, clean, params.seed),
    ]
