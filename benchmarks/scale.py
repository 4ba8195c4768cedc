"""Time and peak memory of what goes through whole tables, at 10,000 and 1,000,000 made rows.

    python -m benchmarks.scale            both sizes, some minutes
    python -m benchmarks.scale --quick    1,000 and 10,000 rows
    python -m benchmarks.scale --path "manifest of photographs"

Rows are images, pairs, candidates or samples, whichever the path goes through; features are short (16 values, 4 patches of
16), so that rows are what is measured: an embedding of 512 values takes 2 kB a row more wherever vectors are held. Each path
runs in a process of its own, on tables that another one made; its peak is that process's largest resident size, libraries
and mapped files included. Time is the processor's, which neighbours on the machine change little. Targets: time linear in
the rows, and at most 1.5 GiB.
"""

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.common import report
from pipeline_lib.core.tables import write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.networks.embeddings.store import EmbeddingSet, EmbeddingWriter
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.ranks import RANKS
from pipeline_lib.schemas.shard_index import SHARD_INDEX

DIM, GRID = 16, np.array([(x, y, 56, 56) for y in (0, 56) for x in (0, 56)], np.int64)
SMALL = 500  # rows of the run before the measured one, for the imports
IMAGES_EACH, CANDIDATES_EACH, NUM_QUERIES = 10, 100, 64
AT_ONCE = 256  # images a record batch, as the embedding stages write them


def named(prefix: str, numbers: np.ndarray) -> pa.Array:
    """Texts such as face0000012."""
    digits = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), 7, "0")
    return pc.binary_join_element_wise(prefix, digits, "")


def write_index(folder: Path, num: int, members: list[str], split: str) -> None:
    """An index of `num` samples with these members; their shards are not there."""
    numbers = np.repeat(np.arange(num), len(members))
    keys = named("face", numbers)
    columns = {
        "key": keys,
        "member": pa.array(members * num),
        "shard": named("aligned-", numbers // 1000),
        "offset": pa.array(numbers * 1024),
        "size": pa.array(np.full(len(numbers), 512)),
        "image_id": keys,
        "identity": named("person", numbers // IMAGES_EACH),
        "split": pa.array([split]).take(pa.array(np.zeros(len(numbers), np.int64))),
        "landmarks": pa.nulls(len(numbers), SHARD_INDEX.field("landmarks").type),
        "score": pa.array(np.ones(len(numbers), np.float32)),
    }
    write_table(folder / "index.parquet", pa.table(columns, schema=SHARD_INDEX), SHARD_INDEX)


def write_pairs(path: Path, num: int) -> None:
    """As many pairs as images, half of them genuine."""
    rng, numbers = np.random.default_rng(0), np.arange(num)
    genuine = numbers % 2 == 0
    other = np.where(genuine, numbers - numbers % IMAGES_EACH, rng.integers(num, size=num))
    made = {
        "protocol": pa.array(["val", "lfw"]).take(pa.array(numbers % 4 // 2)),
        "fold": pa.array((numbers % 10).astype(np.int32)),
        "image_a": named("face", numbers),
        "image_b": named("face", other),
        "genuine": pa.array(genuine),
    }
    columns = [made[name] if name in made else pa.nulls(num, PAIRS.field(name).type) for name in PAIRS.names]
    write_table(path, pa.table(columns, schema=PAIRS), PAIRS)


def write_embedded(folder: Path, num: int) -> None:
    """Embeddings and patch features of `num` test images."""
    rng = np.random.default_rng(1)
    common = rng.normal(size=(1, len(GRID), DIM)) + 1.0
    with EmbeddingWriter(folder, DIM, GRID, DIM) as writer:
        for first in range(0, num, AT_ONCE):
            numbers = np.arange(first, min(first + AT_ONCE, num))
            keys = named("face", numbers).to_pylist()
            people = named("person", numbers // IMAGES_EACH).to_pylist()
            patches = (common + 0.7 * rng.normal(size=(len(keys), len(GRID), DIM))).astype(np.float32)
            plain = ["test"] * len(keys), [None] * len(keys)
            writer.write(EmbeddingSet(keys, keys, people, *plain, patches.mean(axis=1), patches, keys, GRID))


def write_ranks(path: Path, num: int) -> None:
    """`num` candidates, a hundred a query; the re-ranked list is the first turned by one."""
    query, place = np.divmod(np.arange(num), CANDIDATES_EACH)
    scores = pa.array(np.full(num, 0.5, np.float32))
    columns = {
        "query_key": named("query", query),
        "query_identity": named("person", query),
        "kind": pa.array(["crop", "mask"]).take(pa.array(query % 2)),
        "gallery_key": named("face", place),
        "genuine": pa.array(place == query % 3),
        "num_relevant": pa.array(np.ones(num, np.int32)),
        "rank_cosine": pa.array((place + 1).astype(np.int32)),
        "rank_reranked": pa.array(((place + 1) % CANDIDATES_EACH + 1).astype(np.int32)),
        "cosine": scores,
        "compared": scores,
        "reranked": scores,
    }
    write_table(path, pa.table(columns, schema=RANKS), RANKS)


def write_photographs(root: Path, num: int) -> None:
    """As many small pictures in folders of people, no two alike."""
    for first in range(0, num, IMAGES_EACH):
        folder = root / "faces" / f"person{first // IMAGES_EACH:07d}"
        folder.mkdir(parents=True)
        for number in range(first, min(first + IMAGES_EACH, num)):
            pixels = np.frombuffer(number.to_bytes(12, "big"), np.uint8).reshape(2, 2, 3)
            (folder / f"{number}.png").write_bytes(encode_png(pixels))


def write_manifest(path: Path, num: int) -> None:
    """The photographs of the index, each with a digest of its own."""
    numbers = np.arange(num)
    made = {
        "image_id": named("face", numbers),
        "identity": named("person", numbers // IMAGES_EACH),
        "split": pa.array(["test"]).take(pa.array(np.zeros(num, np.int64))),
        "media": named("face", numbers),
        "uri": named("data/raw/faces/person/", numbers),
        "sha256": named("0" * 57, numbers),
    }
    columns = [made[name] if name in made else pa.nulls(num, MANIFEST.field(name).type) for name in MANIFEST.names]
    write_table(path, pa.table(columns, schema=MANIFEST), MANIFEST)


def make(data: Path, num: int) -> None:
    """Everything that the paths read."""
    write_photographs(data / "raw", num)
    write_manifest(data / "manifest.parquet", num)
    write_index(data / "align", num, ["json", "png"], "test")
    write_index(data / "train", num, ["json", "png"], "train")
    write_index(data / "patches", num, ["mirror.png", "patch.png"], "train")
    write_pairs(data / "pairs.parquet", num)
    write_embedded(data / "embed" / "net", num)
    write_ranks(data / "ranks.parquet", num)


def manifest_of_photographs(data: Path) -> None:
    """All of ingest: a folder listed, each photograph probed and digested, splits and pairs drawn. The files are real."""
    from pipeline_lib.data.sources.shared.manifest import build_manifest
    from pipeline_lib.data.sources.shared.read import read_sources
    from pipeline_lib.params.ingest import Ingest

    source = {"kind": "image_folder", "path": "faces", "split": "by_identity"}
    ingest = Ingest(
        root=str(data / "raw"), sources=[source], val_share=0.1, test_share=0.1, pairs_per_fold=600, num_folds=10,
        max_identities=None, max_folds=None, max_pixels=100, max_reject_share=0.0, seed=1,
    )  # fmt: skip
    build_manifest(read_sources(ingest.sources, {}, data / "raw", data / "photos"), ingest)


def occlusions_planned(data: Path) -> None:
    """Which images are occluded and how, before the first is drawn."""
    from pipeline_lib.data.occlusion.occluded_set import planned_rows
    from pipeline_lib.params.occlude import Occlude

    occlude = Occlude(
        kinds=["mask_cloth", "sunglasses", "crop"], train_share=0.3, max_query_images=2000, crop_share=0.7, seed=1,
    )  # fmt: skip
    planned_rows(data / "train", occlude)


def digest_of_validation_pairs(data: Path) -> None:
    """What register compares versions by."""
    from pipeline_lib.delivery.registry.promote import merit_of
    from pipeline_lib.matching.scores.shared.pairs import read_pairs

    merit_of({"auc": 0.5}, read_pairs(data / "pairs.parquet", data / "align"), data / "manifest.parquet")


def images_to_embed(data: Path) -> None:
    """What embed does before its first image: which images the pairs name."""
    from pipeline_lib.networks.embedding.images import ShardImages
    from pipeline_lib.networks.embedding.needed_rows import rows_of_pairs

    rows_of_pairs(ShardImages(data / "align"), data / "pairs.parquet")


def training_set(data: Path) -> None:
    """What a rank of a training holds of its images, with the order of an epoch."""
    from pipeline_lib.data.shards.plan import epoch_plan
    from pipeline_lib.networks.training.labelled_images import training_faces

    epoch_plan(len(training_faces(data / "train", None)), 1, 0, 64, 0, 0)


def training_set_of_a_region(data: Path) -> None:
    """The same for a region's patches, two members a sample."""
    from pipeline_lib.data.patches.grid import Region
    from pipeline_lib.networks.training.labelled_images import training_regions

    training_regions(data / "patches", Region(28, 0, 0), 5)


def region_cosines_of_pairs(data: Path) -> None:
    """Four regions of every pair, as region weights are fitted to."""
    from pipeline_lib.core.tables import read_table
    from pipeline_lib.core.texts import Texts
    from pipeline_lib.matching.regions.features import open_region_features, region_cosines

    table = read_table(data / "pairs.parquet", PAIRS)
    features = open_region_features(data / "embed")
    region_cosines(features, *(Texts(table[side]) for side in ("image_a", "image_b")))


def scores_of_pairs(data: Path) -> None:
    """The cosine of every pair, as the stage score has it."""
    from pipeline_lib.matching.scores.shared.columns import open_entry, scored_columns
    from pipeline_lib.matching.scores.shared.pairs import read_pairs
    from pipeline_lib.params.scores import Score

    entry = Score.model_validate({"kind": "cosine", "of": "embed"})
    pairs = read_pairs(data / "pairs.parquet", data / "align")
    reads = Reads(data / "embed", data / "none", data / "align", pairs)
    scored_columns(open_entry("cosine", entry, reads), reads)


def reranked_gallery(data: Path) -> None:
    """64 queries in a gallery of all images, a hundred candidates each compared patch by patch."""
    from pipeline_lib.matching.rerankers.emd import Emd, Settings
    from pipeline_lib.matching.retrieval.results import metrics_by_kind, ranks_table
    from pipeline_lib.matching.retrieval.stored_faces import stored_faces
    from pipeline_lib.matching.retrieval.two_stage import rank_two_stages
    from pipeline_lib.networks.embeddings.store import read_embeddings

    folder = data / "embed" / "net"
    store = read_embeddings(folder)
    gallery = stored_faces(store, folder, store.keys)
    queries, kinds = stored_faces(store, folder, store.keys[:NUM_QUERIES]), ["mask"] * NUM_QUERIES
    reranker = Emd(Settings(weights="apc", pool=1, regularisation=0.05, tolerance=1e-4, max_iterations=1000))
    ranking = rank_two_stages(queries, gallery, top_k=100, alpha=0.7, reranker=reranker)
    metrics_by_kind(ranking, kinds)
    ranks_table(ranking, queries, gallery, kinds, 100)


def report_of_ranks(data: Path) -> None:
    """What the report reads of a re-ranking's candidates."""
    from pipeline_lib.core.tables import read_table
    from pipeline_lib.delivery.report.strips import choose_queries, first_places, read_strips

    ranks = read_table(data / "ranks.parquet", RANKS)
    read_strips(ranks, choose_queries(first_places(ranks)))


PATHS: dict[str, Callable[[Path], None]] = {
    "manifest of photographs": manifest_of_photographs,
    "occlusions planned": occlusions_planned,
    "digest of validation pairs": digest_of_validation_pairs,
    "images to embed": images_to_embed,
    "training set": training_set,
    "training set of a region": training_set_of_a_region,
    "region cosines": region_cosines_of_pairs,
    "cosines of pairs": scores_of_pairs,
    "re-ranking, gallery": reranked_gallery,
    "report of ranks": report_of_ranks,
}


def measure(path: Callable[[Path], None], warm: Path, data: list[Path]) -> list[tuple[float, int]]:
    """Processor seconds of a path and the largest resident size of this process so far; run in small before, for the imports.

    Args:
        path: one of PATHS.
        warm: the small tables.
        data: those that are measured, the smaller first.
    """
    torch.set_num_threads(1)
    path(warm)
    found = []
    for folder in data:
        started = time.process_time()
        path(folder)
        found.append((time.process_time() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024))
    return found


def main() -> None:
    """Measure, and print a table and a line of JSON."""
    parser = argparse.ArgumentParser(description="Time and memory of what goes through whole tables.")
    parser.add_argument("--rows", type=int, nargs=2, default=[10_000, 1_000_000])
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 rows")
    parser.add_argument("--path", choices=PATHS, action="append", help="one of the paths alone")
    args = parser.parse_args()
    sizes = [1_000, 10_000] if args.quick else args.rows
    rows: list[dict[str, object]] = []
    # In small, imports would be most of the time; pages of a server's libraries would be missing in the processes' sizes.
    started = multiprocessing.get_context("forkserver" if args.quick else "spawn")
    started.set_forkserver_preload(["torch", "pipeline_lib.matching.scores.shared.reads"])
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(1, mp_context=started, max_tasks_per_child=1) as processes,
    ):
        data = {num: Path(folder, str(num)) for num in (SMALL, *sizes)}
        for num, where in data.items():
            processes.submit(make, where, num).result()
        for name in args.path or PATHS:
            found = processes.submit(measure, PATHS[name], data[SMALL], [data[num] for num in sizes]).result()
            row: dict[str, object] = {"path": name}
            for num, (taken, peak) in zip(sizes, found, strict=True):
                row |= {f"s, {num} rows": taken, f"GiB, {num} rows": peak / 2**30}
            rows.append({**row, "time over rows": found[1][0] / found[0][0] * sizes[0] / sizes[1]})
            print(name, found, file=sys.stderr)
    report("scale", {"rows": sizes, "dim": DIM, "patches": len(GRID)}, rows)


if __name__ == "__main__":
    main()
