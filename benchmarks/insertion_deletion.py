"""The four insertion and deletion curves of both images of a pair against loops over their steps, on one core.

    python -m benchmarks.insertion_deletion           100 pairs with the demo's network, 4 with IResNet-18
    python -m benchmarks.insertion_deletion --quick   2 pairs with the demo's network

`loop`: as the measure is usually written (RISE's public code, for a score of two images): each step changes the image and asks
for the score of the two, both embedded one after another, contiguous. `lean loop`: the partner is embedded once. `ours`: each
different image once, in batches, channels last. 10 steps, no mirrored images; the three take turns, pair by pair.
"""

import argparse

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cosine_similarity

from benchmarks.common import NETWORKS, on_cores, paired_ratio, report, seconds
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.params.explain import Explain
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.faithfulness.areas import measure_pair
from pipeline_lib.why.faithfulness.insertion_deletion import CURVES, area, blur, draw_tie_ranks, saliency_ranks

PARAMS = Explain(num_pairs=1, num_pictures=0, num_steps=10, insertion_blur_sigma_px=10.0, seed=0)
Areas = npt.NDArray[np.float64]


def ours(embedder: Embedder, pair: EmbeddedPair, maps: npt.NDArray[np.float32]) -> Areas:
    """The areas, in the order of CURVES."""
    curves = measure_pair(embedder, pair, maps, PARAMS, np.random.default_rng(0))
    return np.array([area(getattr(curves, name)) for name in CURVES])


@torch.inference_mode()
def looped(network: FaceNetwork, pair: EmbeddedPair, maps: npt.NDArray[np.float32], embeds_partner: bool) -> Areas:
    """The same, step by step."""
    rng, found = np.random.default_rng(0), np.zeros((2, len(CURVES)))
    for side in (0, 1):
        image, other = pair.inputs[side], torch.from_numpy(pair.inputs[1 - side][None])
        ranks = saliency_ranks(maps[side], draw_tie_ranks(rng, maps[side].size))
        grey, soft = np.zeros_like(image), blur(image, PARAMS.insertion_blur_sigma_px)
        shown = {
            "insertion": (image, soft),
            "deletion": (grey, image),
            "insertion_grey": (image, grey),
            "deletion_blur": (soft, image),
        }
        kept = network(other)
        for number, name in enumerate(CURVES):
            scores = []
            for step in range(PARAMS.num_steps + 1):
                changed = np.where(ranks < round(step * ranks.size / PARAMS.num_steps), *shown[name])
                partner = network(other) if embeds_partner else kept
                embedding = network(torch.from_numpy(changed[None]))
                scores.append(float(cosine_similarity(embedding, partner)))
            found[side, number] = np.trapezoid(scores, dx=1 / PARAMS.num_steps)
    return found.mean(axis=0)


def race(name: str, num_pairs: int) -> dict[str, object]:
    """One row of the table; the areas of all three agree to 1e-5, or the benchmark ends with an error."""
    network = build_network(NETWORKS[name]).eval()
    plain = build_network(NETWORKS[name]).eval().to(memory_format=torch.contiguous_format)
    embedder, rng = Embedder(network, mirror=False, images_per_batch=64), np.random.default_rng(1)
    times: dict[str, list[float]] = {"loop": [], "lean loop": [], "ours": []}
    largest = 0.0
    for _ in range(num_pairs):
        pair = embedder.pair(rng.integers(0, 256, (2, 112, 112, 3), dtype=np.uint8), with_patches=False)
        maps, areas = rng.random((2, 112, 112), dtype=np.float32), dict[str, Areas]()
        contenders = {
            "loop": lambda: looped(plain, pair, maps, True),  # noqa: B023 (called at once)
            "lean loop": lambda: looped(plain, pair, maps, False),  # noqa: B023
            "ours": lambda: ours(embedder, pair, maps),  # noqa: B023
        }
        for contender, measure in contenders.items():
            times[contender].append(seconds(lambda: areas.update({contender: measure()})))  # noqa: B023
        largest = max(largest, float(np.ptp(np.stack(list(areas.values())), axis=0).max()))
    if largest > 1e-5:
        raise SystemExit(f"The areas differ by {largest:.1e}.")
    ratios = {f"{loop} / ours": paired_ratio(times[loop], times["ours"]) for loop in ("loop", "lean loop")}
    totals = {f"{contender}, s": sum(values) for contender, values in times.items()}
    medians = {key: ratio["median"] for key, ratio in ratios.items()}
    return {"network": name, "pairs": num_pairs, **totals, **medians, "largest difference": largest, "ratios": ratios}


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Insertion and deletion in batches against loops.")
    parser.add_argument("--quick", action="store_true", help="2 pairs of the demo's network")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with on_cores(1):
        rows = [race(name, num) for name, num in ({"demo": 2} if args.quick else {"demo": 100, "iresnet18": 4}).items()]
    report("insertion_deletion", {"steps": PARAMS.num_steps}, rows)


if __name__ == "__main__":
    main()
