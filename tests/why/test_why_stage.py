"""Stage explain on made faces: what it writes, what it refuses, and a method that is one file and one entry."""

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.shards.images import decode_image, encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.replacement import REPLACEMENT
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.why.explanation import random
from pipeline_lib.why.explanation.shared.map_file import read_maps
from stages import explain

NUM_PEOPLE, NUM_PAIRS, NUM_PICTURES = 4, 3, 3
CURVES = ("insertion", "deletion", "insertion_grey", "deletion_blur")
SUMMARY = {f"made/{curve}_{figure}" for curve in CURVES for figure in ("mean", "low", "high")}
SUMMARY |= {"kind", "network", "num_pairs", "num_failed", "sanity_correlation", "sanity_unchanged"}
PATCHES = {f"{error}{part}" for error in ("fmr", "fnmr") for part in ("", "_auc", "_auc_low", "_auc_high")}
SUMMARY |= {"settings"} | {f"patches/made/{key}" for key in {"eer", "num_genuine", "num_impostor", *PATCHES}}
SAME_POSITION = {f"made/same_position_{figure}" for figure in ("mean", "low", "high")}
FILES = {
    "metrics.json",
    "curves.csv",
    "maps.arrow",
    "gallery.svg",
    "faithfulness.parquet",
    "blurring.parquet",
    "sanity.parquet",
    "replacement.parquet",
}
CLOCK = {"latency.json", "latency.parquet"}  # what no second run repeats
PARAMS = {
    "embed": {"mirror": True},
    "explain": {
        "num_pairs": NUM_PAIRS,
        "num_pictures": NUM_PICTURES,
        "num_steps": 2,
        "insertion_blur_sigma_px": 4.0,
        "seed": 7,
    },
    "explanations": {
        "own": {"kind": "additive", "network": "rrfnet56", "with": "none"},
        "floor": {"kind": "random", "network": "rrfnet56", "with": "none"},
        "refused": {"kind": "additive", "network": "iresnet", "with": "none"},
        "misspelt": {"kind": "random", "network": "rrfnet56", "with": "none", "sede": 1},
        "bright": {"kind": "brightness", "network": "iresnet", "with": "none", "gain": -2.0},
    },
}
BRIGHTNESS = '''"""Brightness: a pixel speaks for a match as far as it is bright."""

from pipeline_lib.params.section import Section
from pipeline_lib.why.explanation.shared.explanation import Explanation

REQUIRES = "embeddings"


class Settings(Section):
    """`gain` of the brightness."""

    gain: float


def explain(network, pair, settings, rng):
    """The mean over RGB, times the gain."""
    return Explanation(settings.gain * pair.inputs.mean(axis=1), pair.score)
'''


@pytest.fixture(scope="module")
def data(tmp_path_factory, network_named) -> Path:
    """A working directory with params, two images each of four test people, their pairs, and untrained networks."""
    root = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(0)
    (root / "align" / "shards").mkdir(parents=True)
    with ShardWriter(root / "align" / "shards", "align", 100) as writer:
        for person in range(NUM_PEOPLE):
            for number in range(2):
                key = f"i{person}n{number}"
                png = encode_png(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8))
                names = {"image_id": key, "identity": f"id{person}", "split": "test"}
                writer.write(key, {"png": png}, landmarks=np.zeros((5, 2), np.float32), score=1.0, **names)
    write_table(root / "align" / "index.parquet", writer.index(), SHARD_INDEX)
    rows = [(f"i{person}n0", f"i{person}n1", True) for person in range(NUM_PEOPLE)]
    rows += [(f"i{person}n0", f"i{(person + 1) % NUM_PEOPLE}n1", False) for person in range(NUM_PEOPLE)]
    pairs = [{"protocol": "made", "fold": 0, "image_a": a, "image_b": b, "genuine": genuine} for a, b, genuine in rows]
    write_table(root / "pairs.parquet", table_from_rows(pairs, PAIRS), PAIRS)
    images = ShardImages(root / "align")
    names = [list(texts) for texts in (images.keys, images.image_ids, images.identities, images.splits)]
    for name in ("rrfnet56", "iresnet"):
        network = network_named(name)
        save_network(root / "networks" / name, network)
        vectors, _ = embed_images(network, images.read(range(len(images))), True, 8)
        write_embeddings(root / "embed" / name, EmbeddingSet(*names, [None] * len(images), vectors, None, []))
    (root / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    return root


def run(root: Path, entry: str, out: Path) -> Path:
    """The stage in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        network = Path("networks", PARAMS["explanations"][entry]["network"])
        embedded = Path("embed", network.name)
        explain.main(entry, network, Path("none"), embedded, Path("pairs.parquet"), Path("align"), out)
    return out


@pytest.fixture(scope="module")
def own(data) -> Path:
    """What explain@own writes."""
    return run(data, "own", data / "explain" / "own")


@pytest.fixture(scope="module")
def floor(data) -> Path:
    """What explain@floor writes."""
    return run(data, "floor", data / "explain" / "floor")


def test_maps_explain_the_score_of_the_embed_stage(data, own):
    """Mirrored features included, for genuine and impostor pairs."""
    maps = read_maps(own / "maps.arrow")
    assert maps["genuine"].to_pylist() == [True] * NUM_PAIRS + [False] * NUM_PAIRS
    images = ShardImages(data / "align")
    vectors, _ = embed_images(load_network(data / "networks/rrfnet56"), images.read(range(len(images))), True, 8)
    vector_of = dict(zip(images.image_ids, vectors.astype(np.float64), strict=True))
    for row in maps.to_pylist():
        a, b = vector_of[row["image_a"]], vector_of[row["image_b"]]
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        for total in (row["score"], np.sum(row["terms"]), np.sum(row["map_a"]), np.sum(row["map_b"])):
            assert total == pytest.approx(cosine, abs=2e-6)  # the network and the kept maps are float32
        assert np.shape(row["boxes"]) == (5, 4)


def test_entries_explain_the_same_pairs_in_one_order(own, floor):
    columns = ["image_a", "image_b", "genuine", "score"]
    first, second = (read_maps(folder / "maps.arrow") for folder in (own, floor))
    assert first.select(columns) == second.select(columns)
    assert second["terms"].null_count == len(second)
    for folder, name in ((own, "own"), (floor, "floor")):
        table = pq.read_table(folder / "faithfulness.parquet")
        assert set(table["method"].to_pylist()) == {name}
        pairs = list(zip(table["image_a"].to_pylist(), table["image_b"].to_pylist(), strict=True))
        measured = first.slice(0, NUM_PAIRS)
        expected = list(zip(measured["image_a"].to_pylist(), measured["image_b"].to_pylist(), strict=True))
        assert pairs == expected


def test_metrics_and_curves_are_of_the_measured_pairs(own, floor):
    assert set(read_json(own / "metrics.json")) == {*SUMMARY, *SAME_POSITION, "additivity_max_error"}
    assert set(read_json(floor / "metrics.json")) == SUMMARY
    assert read_json(own / "metrics.json")["additivity_max_error"] < 2e-6
    for folder in (own, floor):
        metrics = read_json(folder / "metrics.json")
        assert metrics["num_pairs"] == NUM_PAIRS
        areas = pq.read_table(folder / "faithfulness.parquet")
        assert metrics["made/insertion_mean"] == pytest.approx(np.mean(areas["insertion_auc"].to_numpy()))
        with (folder / "curves.csv").open() as handle:
            rows = list(csv.DictReader(handle))
        assert {row["method"] for row in rows} == {folder.name}
        # The untouched pair: the same whatever is removed first.
        starts = [float(row["mean_score"]) for row in rows if row["metric"] == "deletion" and row["share"] == "0.0"]
        scores = read_maps(own / "maps.arrow")["score"].to_numpy()[:NUM_PAIRS]
        assert starts == pytest.approx([scores.mean()], abs=1e-6)  # float32


def test_pictures_are_of_genuine_and_then_of_impostor_pairs(own, floor):
    for folder in (own, floor):
        names = sorted(path.name for path in (folder / "pictures").iterdir())
        assert names == ["00_genuine.png", "01_genuine.png", "02_impostor.png"]
    with_terms, without = (decode_image((folder / "pictures" / names[0]).read_bytes()) for folder in (own, floor))
    assert with_terms.shape[0] > 1.5 * without.shape[0]


def test_patched_pairs_are_those_of_the_maps_and_the_same_for_every_entry(own, floor):
    columns = ["protocol", "image_a", "image_b", "genuine"]
    tables = [read_table(folder / "replacement.parquet", REPLACEMENT) for folder in (own, floor)]
    for table in tables:
        assert table.select(columns) == read_maps(own / "maps.arrow").select(columns)
    assert tables[0].select([*columns, "stranger", "threshold"]) == tables[1].select(
        [*columns, "stranger", "threshold"]
    )
    starts = [[row[0] for row in table["scores"].to_pylist()] for table in tables]
    np.testing.assert_array_equal(*starts)
    for row in tables[0].to_pylist():
        assert row["scores"][-1] == pytest.approx(row["clean_score"], abs=1e-6)  # float32, in another batch


def test_a_second_run_writes_the_same_bytes(data, floor, tmp_path):
    again = run(data, "floor", tmp_path / "again")
    files = sorted(path.relative_to(floor) for path in floor.rglob("*.*") if path.name not in CLOCK)
    assert {path.name for path in files if path.suffix != ".png"} == FILES
    assert len(files) == len(FILES) + NUM_PICTURES + 2 * NUM_PICTURES + 1
    assert read_json(floor / "latency.json")["num_forward"] == 4  # two images and their mirror images
    for file in files:
        assert (again / file).read_bytes() == (floor / file).read_bytes(), file


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("refused", r"additive network[\s\S]*arch iresnet[\s\S]*random[\s\S]*params.yaml, explanations.refused"),
        ("misspelt", r"sede[\s\S]*params.yaml, explanations.misspelt"),
        ("bright", r"no such kind[\s\S]*brightness[\s\S]*additive[\s\S]*random[\s\S]*explanations.bright"),
    ],
)
def test_entries_that_cannot_be_are_refused_and_nothing_is_written(data, tmp_path, entry, message):
    with pytest.raises(ParamsError, match=message):
        run(data, entry, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_method_is_one_file_and_one_entry(data, repository, tmp_path):
    """Dropped into a checkout and run as DVC runs it; on a network that is not additive."""
    for folder in ("pipeline_lib", "stages"):
        shutil.copytree(repository / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(data, tmp_path, dirs_exist_ok=True)
    (tmp_path / "pipeline_lib/why/explanation/brightness.py").write_text(BRIGHTNESS)
    options = "--explanation bright --network networks/iresnet --with none --embedded embed/iresnet"
    options += " --pairs pairs.parquet --aligned align --out explain/bright"
    command = [sys.executable, "-m", "stages.explain", *options.split()]
    environment = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    out = tmp_path / "explain" / "bright"
    assert set(read_json(out / "metrics.json")) == SUMMARY
    assert set(pq.read_table(out / "faithfulness.parquet")["method"].to_pylist()) == {"bright"}
    row = read_maps(out / "maps.arrow").to_pylist()[0]
    images = ShardImages(tmp_path / "align")
    (image,) = images.read([images.image_ids.index(row["image_a"])])
    expected = -2.0 * (image.mean(axis=2) / 127.5 - 1.0)
    np.testing.assert_allclose(np.reshape(row["map_a"], (112, 112)), expected, atol=1e-5)  # float32


def test_a_pair_that_cannot_be_explained_is_counted_and_the_others_go_on(data, tmp_path, monkeypatch, caplog):
    honest, pairs = random.explain, []

    def fail_once(network, pair, settings, rng):
        images = pair.images.tobytes()  # the measures ask again
        if images not in pairs:
            pairs.append(images)
        if pairs.index(images) in failing:
            raise DataError("An embedding has no direction.")
        return honest(network, pair, settings, rng)

    monkeypatch.setattr(random, "explain", fail_once)
    failing = {2}  # the second pair: the first was asked for as it is, and patched
    out = run(data, "floor", tmp_path / "one")
    metrics = read_json(out / "metrics.json")
    assert (metrics["num_failed"], metrics["num_pairs"]) == (1, NUM_PAIRS - 1)
    assert len(read_maps(out / "maps.arrow")) == 2 * NUM_PAIRS - 1
    assert "has no direction" in caplog.text
    failing, pairs = set(range(99)), []
    with pytest.raises(DataError, match="no direction"):
        run(data, "floor", tmp_path / "none")
    assert not (tmp_path / "none" / "maps.arrow").exists()
