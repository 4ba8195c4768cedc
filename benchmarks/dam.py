"""What DAM adds to embedding a face: the search among 50,000 anchors (DAM-R), and the regressor (DAM-L).

    python -m benchmarks.dam            batches of 1,000 faces, embedded by IResNet-50, on two cores
    python -m benchmarks.dam --quick    small ones, by the demo's network, on one

A turn embeds a few images, and finds log G of a batch of drawn vectors by both. Times are for one face: a batch of 1,000 would
take IResNet-50 minutes on two cores, and in a batch of 32 an image takes as long, while the search is timed on whole batches.
`share` is the time for a face's G over that for its embedding, a median over the turns; embedding mirrored images too would
halve it. Targets: DAM-R at most 5 %, DAM-L at most 0.1 %.
"""

import argparse

import faiss
import numpy as np
import torch

from benchmarks.common import NETWORKS, on_cores, paired_ratio, report, seconds, spread
from pipeline_lib.core.cosine import unit
from pipeline_lib.matching.dam.dam import log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LidRegressor
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.embedding.folded import folded

NUM_NEIGHBOURS, SCALE, HIDDEN_DIM = 10, 1.0, 512


def measure(network: str, num_anchors: int, batch: int, num_images: int, num_turns: int) -> list[dict[str, object]]:
    """A row for DAM-R and one for DAM-L."""
    rng = np.random.default_rng(0)
    spec = NETWORKS[network]
    model = folded(build_network(spec).eval()).to(memory_format=torch.channels_last)
    images = torch.rand(num_images, 3, spec.side_px, spec.side_px).to(memory_format=torch.channels_last)
    anchors = unit(rng.normal(size=(num_anchors, spec.embedding_dim)))
    faces = rng.normal(size=(batch, spec.embedding_dim)).astype(np.float32)
    regressor = LidRegressor(spec.embedding_dim, HIDDEN_DIM, SCALE, NUM_NEIGHBOURS).eval()

    @torch.inference_mode()
    def embed() -> None:
        model(images)

    ways = {
        "DAM-R": lambda: log_lid(nearest_cosines(faces, anchors, NUM_NEIGHBOURS), SCALE),
        "DAM-L": lambda: regressor.log_lid(faces),
    }
    embedding: list[float] = []
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, num_turns):  # the first warms up
        times = {"embed": seconds(embed) / num_images, **{name: seconds(way) / batch for name, way in ways.items()}}
        if turn >= 0:
            embedding.append(times["embed"])
            for name in ways:
                taken[name].append(times[name])
    rows: list[dict[str, object]] = []
    for name, each in taken.items():
        ratio = paired_ratio([1e4 * value for value in each], embedding)  # 1e4: four digits of a share of 1e-5
        figures = {"ms a face": 1e3 * spread(each, 9)["median"], "embedding, ms": 1e3 * spread(embedding)["median"]}
        rows.append({"G by": name, **figures, "share, %": ratio["median"] / 100, "shares": ratio})
    return rows


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="The cost of DAM beside that of embedding.")
    parser.add_argument("--network", choices=NETWORKS, default="iresnet50")
    parser.add_argument("--anchors", type=int, default=50_000)
    parser.add_argument("--batch", type=int, default=1_000)
    parser.add_argument("--images", type=int, default=32, help="embedded in a turn")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--quick", action="store_true", help="2,000 anchors, batches of 100, the demo's network, one core"
    )
    args = parser.parse_args()
    if args.quick:
        args.network, args.anchors, args.batch, args.images, args.turns, args.cores = "demo", 2_000, 100, 8, 2, 1
    torch.set_num_threads(args.cores)
    faiss.omp_set_num_threads(args.cores)
    with on_cores(args.cores):
        rows = measure(args.network, args.anchors, args.batch, args.images, args.turns)
    report("dam", vars(args), rows)


if __name__ == "__main__":
    main()
