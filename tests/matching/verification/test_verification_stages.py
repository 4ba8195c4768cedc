"""The stages from networks to scores, run on a small set of made-up faces with untrained networks."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
import yaml

from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.matching.regions.fits import read_region_fits
from pipeline_lib.matching.regions.variants import read_variants
from pipeline_lib.matching.scores.shared.table import read_scores, score_columns
from pipeline_lib.matching.verification.calibration import read_calibrations
from pipeline_lib.networks.backbones.shared.build import build_network, network_spec
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.params.networks import Network
from pipeline_lib.schemas.anchor_cosines import ANCHOR_COSINES
from pipeline_lib.schemas.anchor_training import ANCHOR_TRAINING
from pipeline_lib.schemas.attributes import ATTRIBUTES
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from stages import build_anchors, draw_region_pairs, embed, embed_regions, fit_region_weights, score, verify

SPLITS = {"train": range(12), "val": range(12, 21), "test": range(21, 26)}
IMAGES_PER_IDENTITY = 3
POSITIONS = {"p28": "p28_x14_y28", "p56_x28_y28": "p56_x28_y28"}  # by folder: a group of one, and one that stands alone
COMBINATIONS = ["regions:28", "regions:56", "regions:28_56"]
SMALL = {"arch": "iresnet", "blocks": [1, 1, 1, 1], "width": 0.125, "embedding_dim": 16}
UNTRAINED = {"epochs": 0, "head": {"kind": "none"}, "checkpoint": "data/none", "teacher": "none"}
NETWORKS = {
    "iresnet": {**SMALL, **UNTRAINED},
    "rrfnet56": {**SMALL, **UNTRAINED, "patches": {"side_px": 56, "layout": "cross5"}},
}
SCORES = ["cosine", "cosine_centred", "dam", "raw_pixel", "regions"]


def face(identity: int, number: int) -> np.ndarray:
    """A coarse pattern of its own for each identity, under noise."""
    pattern = np.random.default_rng(identity).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng(1000 + identity * 10 + number).normal(scale=40, size=(112, 112, 3))
    return np.clip(np.kron(pattern, np.ones((16, 16, 1))) + noise, 0, 255).astype(np.uint8)


def write_shards(folder: Path, rows: list[tuple[str, int, int, str]]) -> None:
    """Aligned shards of (key, identity, number, split)."""
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", folder.name, 20) as writer:
        for key, identity, number, split in rows:
            names = {"image_id": f"i{identity}n{number}", "identity": f"id{identity}", "split": split}
            members = {"png": encode_png(face(identity, number)), "json": b"{}"}
            writer.write(key, members, landmarks=np.zeros((5, 2), np.float32), score=1.0, **names)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


def write_networks(root: Path) -> None:
    """Untrained networks, their normalisation fitted to noise; they tell the patterns apart better than by chance."""
    entries = {f"networks/{name}": (fields, 112) for name, fields in NETWORKS.items()}
    entries |= {
        f"region_networks/{folder}/{name}": (NETWORKS["iresnet"], int(name[1:3])) for folder, name in POSITIONS.items()
    }
    for seed, (folder, (fields, input_px)) in enumerate(entries.items()):
        network = build_network(network_spec(Network.model_validate(fields), folder, input_px), seed)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.momentum = 1.0
        torch.manual_seed(seed)
        with torch.no_grad():
            network.train()(torch.rand(16, 3, input_px, input_px) * 2 - 1)
        save_network(root / "data" / folder, network)


def write_pairs(path: Path) -> None:
    """Two folds a protocol; one pair names an image that was never aligned."""
    rows = []
    for protocol, identities in (("val", SPLITS["val"]), ("synthetic", SPLITS["test"])):
        for identity in identities:
            other = identity + 1 if identity + 1 in identities else identities[0]
            for fold in (0, 1):
                rows.append((protocol, fold, f"i{identity}n{fold}", f"i{identity}n2", True))
                rows.append((protocol, fold, f"i{identity}n{fold}", f"i{other}n{fold}", False))
    rows.append(("synthetic", 1, "i21n0", "unaligned", False))
    keys = ("protocol", "fold", "image_a", "image_b", "genuine")
    write_table(path, table_from_rows([dict(zip(keys, row, strict=True)) for row in rows], PAIRS), PAIRS)


def write_people(folder: Path) -> None:
    """A manifest with the first photograph of everybody as a profile, and a user's attribute of everybody."""
    ids = [(f"i{i}n{n}", i, n) for i in range(26) for n in range(IMAGES_PER_IDENTITY)]
    photos = [{"image_id": image, "view": "profile" if n == 0 else "frontal"} for image, _, n in ids]
    write_table(folder / "manifest.parquet", table_from_rows(photos, MANIFEST), MANIFEST)
    said = [{"image_id": image, "name": "parity", "value": "even" if i % 2 == 0 else "odd"} for image, i, _ in ids]
    write_table(folder / "attributes.parquet", table_from_rows(said, ATTRIBUTES), ATTRIBUTES)


def write_params(repository: Path, path: Path) -> None:
    """The demo's parameters, cut to this set's size."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["networks"], params["embed"] = NETWORKS, {"mirror": True}
    params["regions"] |= {"alone": {"p56_x28_y28": {}}, "groups": {"p28": [POSITIONS["p28"]]}}
    params["regions"]["weights"]["logistic"] |= {"num_pairs": 80, "num_cross_validation_folds": 3, "num_bootstrap": 4}
    params["anchors"]["real"] |= {"network": "iresnet", "num_neighbours": 4}
    params["anchors"]["real"]["lid"] |= {"hidden_dim": 8, "num_steps": 30, "batch_size": 16}
    params["verify"] |= {"false_accept_rates": [0.1, 0.01], "groups": ["view", "parity"]}
    path.write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the six stages have run."""
    root = tmp_path_factory.mktemp("stages")
    everyone = [(i, n, split) for split, ids in SPLITS.items() for i in ids for n in range(IMAGES_PER_IDENTITY)]
    write_shards(root / "data/align", [(f"i{i}n{n}", i, n, split) for i, n, split in everyone])
    write_networks(root)
    write_pairs(root / "data/ingest/pairs.parquet")
    write_people(root / "data/ingest")
    write_params(repository, root / "params.yaml")
    (root / "data/none").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        data = Path("data")
        common = data / "align", data / "ingest/pairs.parquet"
        for name in NETWORKS:
            embed.main(data / "networks" / name, *common, data / "embed" / name)
        drawn = data / "region_pairs/logistic.parquet"
        draw_region_pairs.main("logistic", data / "align", drawn)
        for name in POSITIONS:
            embed_regions.main(
                data / "region_networks" / name, *common, drawn.parent, data / "region_embeddings" / name
            )
        fit_region_weights.main("logistic", data / "region_embeddings", drawn, data / "region_weights/logistic")
        build_anchors.main(
            "real",
            data / "networks/iresnet",
            data / "align",
            data / "embed/iresnet",
            data / "ingest/pairs.parquet",
            data / "anchors/real",
        )
        for name in SCORES:
            run_score(name)
        run_verify()
    return root


def run_score(name: str, **changed: Path) -> None:
    """The stage score@name on the folders that params.yaml names."""
    data, entry = Path("data"), yaml.safe_load(Path("params.yaml").read_text())["scores"][name]
    paths = {"of": data / entry["of"], "with_": data / entry["with"], "pairs": data / "ingest/pairs.parquet"}
    score.main(name, **{**paths, "aligned": data / "align", "out": data / f"scores/{name}.parquet", **changed})


def run_verify(**changed: Path) -> None:
    """The stage verify."""
    paths = {"pairs": Path("data/ingest/pairs.parquet"), "aligned": Path("data/align"), "scores": Path("data/scores")}
    paths["manifest"] = Path("data/ingest/manifest.parquet")
    verify.main(**{**paths, "out": Path("data/verify"), "headline": Path("data/headline"), **changed})


def test_scores_hold_the_pairs_and_a_column_each(built):
    table = read_scores(built / "data/verify/scores.parquet")
    cosines = [f"{kind}:{network}" for kind in ("cosine", "cosine_centred") for network in NETWORKS]
    single = [f"regions:{name}" for name in POSITIONS.values()]
    single += [f"regions:28_56/{way}" for way in ("train", "train_non_negative", "val", "val_non_negative")]
    assert table.column_names == [*PAIRS.names, *cosines, "dam:r", "dam:l", "raw_pixel", *COMBINATIONS, *single]
    assert table.num_rows == 56
    assert [name for name, column in score_columns(table).items() if not column.in_headline] == single
    for name in score_columns(table):
        assert str(table.schema.field(name).type) == "float"
        assert np.isfinite(table[name].to_numpy()).all()


def test_metrics_calibrations_and_curves(built):
    metrics = read_json(built / "data/verify/metrics.json")
    assert set(metrics) == {"val", "synthetic"}
    assert {figures["num_dropped"] for figures in metrics["synthetic"].values()} == {1}
    assert {figures["num_dropped"] for figures in metrics["val"].values()} == {0}
    # The patterns are 16 px squares: pixels see them, and so do regions and, through random filters, whole faces.
    assert metrics["synthetic"]["raw_pixel"]["auc"] > 0.99
    assert metrics["synthetic"]["regions:28_56"]["auc"] > 0.8
    assert not [name for name in metrics["synthetic"] if name.startswith("regions:p")]
    for figures in metrics["synthetic"].values():
        assert (figures["num_genuine"], figures["num_impostor"]) == (10, 10)
        assert "tar@0.1" in figures
        assert "tar@0.01" not in figures
    calibrations = read_calibrations(built / "data/verify/calibration.json")
    assert set(calibrations) == set(metrics["val"])
    assert {each.protocol for each in calibrations.values()} == {"val"}
    with (built / "data/verify/roc.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {(row["protocol"], row["score"]) for row in rows} == {(p, s) for p in metrics for s in metrics[p]}


def test_errors_by_group(built):
    with (built / "data/verify/groups.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if (row["protocol"], row["score"]) == ("synthetic", "raw_pixel")]
    found = {(row["attribute"], row["group"]): (row["num_genuine"], row["num_impostor"]) for row in rows}
    # Genuine pairs are of a first or second photograph with the third, impostor pairs of two first or two second ones, of people
    # 21 to 25 in a ring: 25 and 21 are both odd.
    assert found == {
        ("view", "frontal"): ("5", "5"), ("view", "profile"): ("0", "5"), ("view", "(across groups)"): ("5", "0"),
        ("parity", "even"): ("4", "0"), ("parity", "odd"): ("6", "2"), ("parity", "(across groups)"): ("0", "8"),
    }  # fmt: skip
    assert {row["note"] for row in rows if row["group"] == "profile"} == {"impostor pairs only"}
    assert {row["told"] for row in rows} == {""}  # nothing of so few pairs
    metrics = read_json(built / "data/verify/metrics.json")["synthetic"]["raw_pixel"]
    assert not [name for name in metrics if "_by_" in name]
    assert (built / "data/verify/cmc.csv").read_text().splitlines() == ["protocol,score,rank,share"]


def test_table_of_regions_is_that_of_the_scores(built):
    with (built / "data/verify/regions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    order = [
        *(f"regions:{name}" for name in POSITIONS.values()),
        *COMBINATIONS,
        *(f"cosine:{name}" for name in NETWORKS),
        *(f"regions:28_56/{way}" for way in ("train", "train_non_negative", "val", "val_non_negative")),
    ]
    assert [row["score"] for row in rows if row["protocol"] == "synthetic"] == order
    assert {row["protocol"] for row in rows} == {"val", "synthetic"}
    table = read_scores(built / "data/verify/scores.parquet").to_pandas()
    table = table[table.protocol == "synthetic"]
    genuine, impostor = (table[table.genuine == wanted]["regions:p56_x28_y28"].to_numpy() for wanted in (True, False))
    (row,) = (row for row in rows if (row["protocol"], row["score"]) == ("synthetic", "regions:p56_x28_y28"))
    auc = np.mean(genuine[:, None] > impostor) + np.mean(genuine[:, None] == impostor) / 2  # Mann-Whitney, all pairs
    assert float(row["auc"]) == pytest.approx(auc, abs=1e-12)
    metrics = read_json(built / "data/verify/metrics.json")["synthetic"]
    (row,) = (row for row in rows if (row["protocol"], row["score"]) == ("synthetic", "regions:28_56"))
    assert float(row["eer"]) == metrics["regions:28_56"]["eer"]


def test_anchors_and_weights(built):
    metrics = read_json(built / "data/anchors/real/metrics.json")
    assert (metrics["num_anchors"], metrics["num_training_images"]) == (12, 36)
    assert metrics["lid_rmse"] > 0
    assert set(metrics["likeness"]) == {"val", "synthetic"}
    assert 0 <= metrics["likeness"]["synthetic"]["auc"] <= 1
    table = read_table(built / "data/anchors/real/training.parquet", ANCHOR_TRAINING)
    assert (table.num_rows, sum(table["held_out"].to_pylist())) == (36, 3)  # one identity of twelve
    curves = read_table(built / "data/anchors/real/cosines.parquet", ANCHOR_COSINES)
    assert curves.num_rows == 36 * 11
    fits = read_region_fits(built / "data/region_weights/logistic/weights.json")
    parts = [name.removeprefix("regions:") for name in COMBINATIONS]
    assert list(fits) == parts
    assert {fit.uncertainty.num_samples for fit in fits.values()} == {4}
    metrics = read_json(built / "data/region_weights/logistic/metrics.json")
    ways = ["train", "train_non_negative", "val", "val_non_negative"]
    assert set(metrics) == {*parts, *(f"variant_{way}" for way in ways)}
    chosen = [way for way in ways if metrics[f"variant_{way}"]["chosen"]]
    assert chosen == [max(ways, key=lambda way: metrics[f"variant_{way}"]["held_out_auc"])]
    variants = read_variants(built / "data/region_weights/logistic/variants.json")
    assert list(variants) == sorted(ways)
    np.testing.assert_allclose(variants[chosen[0]].weights, fits["28_56"].weights.weights, rtol=1e-12)  # fitted twice
    assert metrics["28_56"]["fitted_accuracy"] > 0.7
    assert not [key for row in metrics.values() for key in row if key.startswith("weight")]
    with (built / "data/verify/regions.csv").open() as handle:
        rows = [row for row in csv.DictReader(handle) if row["kind"] == "variant"]
    assert [row["score"] for row in rows if row["protocol"] == "val"] == [
        f"regions:28_56/{way}" for way in sorted(ways)
    ]
    assert (built / "data/region_weights/logistic/weight_map.png").read_bytes().startswith(b"\x89PNG")


def test_weights_and_their_errors_are_in_mlflow(built, monkeypatch):
    from pipeline_lib.tracking.send import send_all
    from pipeline_lib.tracking.store import open_client

    monkeypatch.chdir(built)
    send_all()
    client = open_client()
    (experiment,) = (found for found in client.search_experiments() if found.name == "face-verifier")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'fit_region_weights@logistic'")
    fits = read_region_fits(built / "data/region_weights/logistic/weights.json")
    for name, fit in fits.items():
        assert run.data.metrics[f"{name}/strength"] == fit.weights.strength
        logged = [run.data.metrics[f"{name}/standard_error.{position}"] for position in fit.weights.positions]
        assert logged == fit.uncertainty.standard_errors.tolist()
        assert run.data.metrics[f"{name}/weight.{fit.weights.positions[0]}"] == fit.weights.weights[0]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {
        "weights.json",
        "variants.json",
        "weight_map.png",
    }


@pytest.mark.parametrize(
    ("name", "argument", "path", "message"),
    [
        ("regions", "with_", "absent", "absent"),
        ("dam", "with_", "absent", "build_anchors"),
        ("dam", "of", "absent", "one network"),
        ("regions", "of", "absent", "run the embed_regions stage"),
        ("regions", "of", "data/embed/iresnet", "no regions"),
        ("cosine", "pairs", "absent.parquet", "absent.parquet"),
        ("raw_pixel", "aligned", "absent", "absent"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(built, monkeypatch, tmp_path, name, argument, path, message):
    monkeypatch.chdir(built)
    with pytest.raises(PipelineError, match=message):
        run_score(name, **{argument: Path(path), "out": tmp_path / "out.parquet"})
    assert not list(tmp_path.rglob("*.*"))


def test_features_without_regions_are_refused(built, monkeypatch, tmp_path):
    monkeypatch.chdir(built)
    with pytest.raises(DataError, match="no regions"):
        fit_region_weights.main(
            "logistic", Path("data/embed/iresnet"), Path("data/region_pairs/logistic.parquet"), tmp_path / "out"
        )


@pytest.mark.parametrize("names", [[], ["cosine"], ["regions"], SCORES])
def test_verify_works_with_the_scores_there_are(built, monkeypatch, tmp_path, names):
    monkeypatch.chdir(built)
    scores = tmp_path / "scores"
    scores.mkdir()
    (scores / ".gitkeep").touch()
    for name in names:
        shutil.copy(built / f"data/scores/{name}.parquet", scores)
    run_verify(scores=scores, out=tmp_path / "out", headline=tmp_path / "headline")
    table, whole = (read_scores(folder / "scores.parquet") for folder in (tmp_path / "out", built / "data/verify"))
    assert table.num_rows == 56
    assert set(score_columns(table)) == {name for name in score_columns(whole) if name.partition(":")[0] in names}
    metrics, everything = (read_json(folder / "metrics.json") for folder in (tmp_path / "out", built / "data/verify"))
    assert metrics == {
        protocol: {name: row for name, row in rows.items() if name.partition(":")[0] in names}
        for protocol, rows in everything.items()
    }
    assert set(read_calibrations(tmp_path / "out/calibration.json")) == set(metrics["val"])
    with (tmp_path / "out/regions.csv").open() as handle:
        kinds = {row["kind"] for row in csv.DictReader(handle)}
    assert kinds == (
        {"position", "combination", "variant"} | ({"network"} if "cosine" in names else set())
        if "regions" in names
        else set()
    )


def test_without_validation_pairs_nothing_is_calibrated_and_it_is_said(built, monkeypatch, tmp_path, caplog):
    monkeypatch.chdir(built)
    table = read_table(built / "data/ingest/pairs.parquet", PAIRS)
    pairs = tmp_path / "pairs.parquet"
    write_table(pairs, table.filter(pc.not_equal(table["protocol"], "val")), PAIRS)
    run_score("raw_pixel", pairs=pairs, out=tmp_path / "scores/raw_pixel.parquet")
    run_verify(pairs=pairs, scores=tmp_path / "scores", out=tmp_path / "out", headline=tmp_path / "headline")
    assert read_json(tmp_path / "out/calibration.json") == {}
    assert set(read_json(tmp_path / "out/metrics.json")) == {"synthetic"}
    assert "No score is calibrated" in caplog.text


def test_scores_of_other_pairs_are_named(built, monkeypatch, tmp_path):
    monkeypatch.chdir(built)
    table = read_table(built / "data/ingest/pairs.parquet", PAIRS)
    write_table(tmp_path / "pairs.parquet", table.slice(0, 30), PAIRS)
    with pytest.raises(DataError, match=r"other pairs[\s\S]*cosine\.parquet"):
        run_verify(pairs=tmp_path / "pairs.parquet", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
