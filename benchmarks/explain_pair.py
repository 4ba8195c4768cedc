"""What the maps of one pair cost beside the network's own passes.

    python -m benchmarks.explain_pair           IResNet-18 and -50, RRFNet-56 and -28, and the demo's network; one core
    python -m benchmarks.explain_pair --quick   the demo's network and its RRFNet-28, once

`xssab`: both signs, both images, against two plain forward and backward passes of the same two images (the gradient of their
cosine). `additive`: the patches' terms and both maps, against embedding the two faces. No mirrored images; runs take turns.
"""

import argparse
from collections.abc import Callable
from types import ModuleType

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.common import NETWORKS, on_cores, paired_ratio, report, seconds, spread
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.why.explanation import additive, xssab
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer

DEMO = {"demo": NETWORKS["demo"]}
DEMO_RRFNET = {"demo rrfnet28": NETWORKS["demo"].model_copy(update={"patches": NETWORKS["rrfnet28"].patches})}
XSSAB = DEMO | {name: NETWORKS[name] for name in ("iresnet18", "iresnet50")}
ADDITIVE = DEMO_RRFNET | {name: NETWORKS[name] for name in ("rrfnet56", "rrfnet28")}
RNG = np.random.default_rng(0)


def two_plain_passes(embedder: Embedder, faces: EmbeddedPair) -> None:
    """The gradient of the cosine in both images, twice; none in the weights."""
    for _ in range(2):
        x = torch.from_numpy(faces.inputs).requires_grad_()
        embedder.gradient(torch.cosine_similarity(*embedder.embed(x), dim=0), x)


def embeddings_alone(embedder: Embedder, faces: EmbeddedPair) -> None:
    """Both faces embedded, as verify needs them."""
    embedder.pair(faces.images, with_patches=False)


def race(
    name: str, network: FaceNetwork, kind: ModuleType, plain: Callable[[Embedder, EmbeddedPair], None], repeats: int
) -> dict[str, object]:
    """Times of the plain way and of the method, in ms, and their ratio."""
    embedder = Embedder(network, mirror=False, images_per_batch=2, threshold=0.3)
    explain = Explainer(kind, kind.Settings(), embedder)
    images = RNG.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    faces, _ = explain(images, RNG)
    both = [
        (seconds(lambda: plain(embedder, faces)), seconds(lambda: run(explain, images, faces))) for _ in range(repeats)
    ]
    first, second = zip(*both[repeats // 4 :], strict=True)  # the first ones warm up
    return {
        "network": name,
        "method": kind.__name__.rpartition(".")[2],
        "plain_ms": spread([1e3 * value for value in first]),
        "method_ms": spread([1e3 * value for value in second]),
        "ratio": paired_ratio(second, first)["median"],
    }


def run(explain: Explainer, images: npt.NDArray[np.uint8], faces: EmbeddedPair) -> None:
    """xSSAB explains an embedded pair; the additive network embeds it and splits its cosine in one go."""
    if explain.kind is additive:
        explain(images, RNG)
    else:
        explain.kind.explain(explain.embedder, faces, explain.settings, RNG)


def main() -> None:
    """Race them and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    repeats = 4 if quick else 24

    def built(spec: NetworkSpec) -> FaceNetwork:
        return build_network(spec, seed=1).eval().to(memory_format=torch.channels_last)

    with on_cores(1):
        rows = [
            race(name, built(spec), xssab, two_plain_passes, repeats)
            for name, spec in (DEMO if quick else XSSAB).items()
        ]
        rows += [
            race(name, built(spec), additive, embeddings_alone, repeats)
            for name, spec in (DEMO_RRFNET if quick else ADDITIVE).items()
        ]
    report("explain_pair", {"repeats": repeats}, rows)


if __name__ == "__main__":
    main()
