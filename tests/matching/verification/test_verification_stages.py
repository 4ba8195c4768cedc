"""The stages from networks to scores, run on a small set of made-up faces with untrained networks."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from pipeline_lib.core.errors import DataError, PipelineError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.shards.writer import ShardWriter
from pipeline_lib.matching.regions.fits import read_region_fits
from pipeline_lib.matching.verification.calibration import read_calibrations
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from stages import build_anchors, embed, embed_regions, fit_region_weights, verify

SPLITS = {"train": range(12), "val": range(12, 17), "test": range(17, 22)}
IMAGES_PER_IDENTITY = 3
POSITIONS = ["p28_x14_y28", "p56_x28_y28"]
COMBINATIONS = ["regions_28", "regions_56", "regions_28_56"]
NETWORKS = {"iresnet": {"arch": "iresnet"}, "rrfnet56": {"arch": "rrfnet", "patch_px": 56, "layout": "cross5"}}
SMALL = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 16}


def face(identity: int, number: int) -> np.ndarray:
    """A coarse pattern of its own for each identity, under noise."""
    pattern = np.random.default_rng(identity).integers(40, 216, (7, 7, 3))
    noise = np.random.default_rng(1000 + identity * 10 + number).normal(scale=40, size=(112, 112, 3))
    return np.clip(np.kron(pattern, np.ones((16, 16, 1))) + noise, 0, 255).astype(np.uint8)


def write_shards(folder: Path, rows: list[tuple[str, int, int, str]]) -> None:
    """Aligned or occluded shards of (key, identity, number, split)."""
    (folder / "shards").mkdir(parents=True)
    with ShardWriter(folder / "shards", folder.name, 20) as writer:
        for key, identity, number, split in rows:
            names = {"image_id": f"i{identity}n{number}", "identity": f"id{identity}", "split": split}
            members = {"png": encode_png(face(identity, number)), "json": b"{}"}
            writer.write(key, members, landmarks=np.zeros((5, 2), np.float32), score=1.0, **names)
    write_table(folder / "index.parquet", writer.index(), SHARD_INDEX)


def write_networks(root: Path) -> None:
    """Untrained networks, their normalisation fitted to noise; they tell the patterns apart better than by chance."""
    specs = {f"networks/{name}": NetworkSpec(**fields, **SMALL) for name, fields in NETWORKS.items()}
    specs |= {
        f"region_networks/{name}/{name}": NetworkSpec("iresnet", **SMALL, input_px=int(name[1:3])) for name in POSITIONS
    }
    for seed, (folder, spec) in enumerate(specs.items()):
        torch.manual_seed(seed)
        network = build_network(spec)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
                module.momentum = 1.0
        with torch.no_grad():
            network.train()(torch.rand(16, 3, spec.input_px, spec.input_px) * 2 - 1)
        save_network(root / folder, network)


def write_pairs(path: Path) -> None:
    """Two folds a protocol; one pair names an image that was never aligned."""
    rows = []
    for protocol, identities in (("val", SPLITS["val"]), ("synthetic", SPLITS["test"])):
        for identity in identities:
            other = identity + 1 if identity + 1 in identities else identities[0]
            for fold in (0, 1):
                rows.append((protocol, fold, f"i{identity}n{fold}", f"i{identity}n2", True))
                rows.append((protocol, fold, f"i{identity}n{fold}", f"i{other}n{fold}", False))
    rows.append(("synthetic", 1, "i17n0", "unaligned", False))
    keys = ("protocol", "fold", "image_a", "image_b", "genuine")
    write_table(path, table_from_rows([dict(zip(keys, row, strict=True)) for row in rows], PAIRS), PAIRS)


def write_params(repository: Path, path: Path) -> None:
    """The demo's parameters, cut to this set's size."""
    params = yaml.safe_load((repository / "params.yaml").read_text())
    params["networks"] = {name: {**params["networks"][name], **fields} for name, fields in NETWORKS.items()}
    params["embed"] = {"batch_size": 8, "mirror": True}
    params["explain"]["networks"], params["register"]["network"] = ["rrfnet56"], "rrfnet56"
    params["regions"] |= {"positions": POSITIONS, "groups": {}}
    params["region_weights"] |= {"num_pairs": 80, "num_cross_validation_folds": 3, "num_bootstrap": 4}
    params["dam"] |= {"network": "iresnet", "num_neighbours": 4}
    params["dam"]["lid"] |= {"hidden_dim": 8, "num_steps": 30, "batch_size": 16}
    params["verify"]["false_accept_rates"] = [0.1, 0.01]
    path.write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the five stages have run."""
    root = tmp_path_factory.mktemp("stages")
    everyone = [(i, n, split) for split, ids in SPLITS.items() for i in ids for n in range(IMAGES_PER_IDENTITY)]
    write_shards(root / "align", [(f"i{i}n{n}", i, n, split) for i, n, split in everyone])
    occluded = [
        (f"i{i}n{n}+crop", i, n, split) for i, n, split in everyone if split == "test" or (split == "train" and n == 0)
    ]
    write_shards(root / "occlude", occluded)
    drawn = [
        {
            "key": k,
            "image_id": k[:-5],
            "kind": "crop",
            "purpose": "query" if split == "test" else "train",
            "drawn": "{}",
        }
        for k, _, _, split in occluded
    ]
    write_table(root / "occlude/occlusions.parquet", table_from_rows(drawn, OCCLUSIONS), OCCLUSIONS)
    write_networks(root)
    write_pairs(root / "pairs.parquet")
    write_params(repository, root / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for name in NETWORKS:
            embed.main(Path("networks", name), Path("align"), Path("occlude"), Path("embed", name))
        embed_regions.main(Path("region_networks"), Path("align"), Path("embed_regions"))
        fit_region_weights.main(Path("embed_regions"), Path("region_weights"))
        build_anchors.main(Path("embed/iresnet"), Path("anchors"))
        run_verify()
    return root


def run_verify(**changed: Path) -> None:
    paths = {"pairs": Path("pairs.parquet"), "aligned": Path("align"), "embedded": Path("embed")}
    paths |= {"embedded_regions": Path("embed_regions"), "region_weights": Path("region_weights/weights.json")}
    verify.main(**{**paths, "anchors": Path("anchors"), "out": Path("verify"), **changed})


def test_embeddings_are_of_all_aligned_images_and_of_queries(built):
    found = read_embeddings(built / "embed/rrfnet56", with_patches=True)
    assert len(found.keys) == 66 + 15
    assert found.kinds == [None] * 66 + ["crop"] * 15
    assert set(found.patch_keys) == {k for k, split in zip(found.keys, found.splits, strict=True) if split == "test"}
    rows = found.rows(found.patch_keys)
    np.testing.assert_allclose(
        found.patches.mean(axis=1), found.vectors[rows], rtol=1e-5, atol=1e-5
    )  # float32 mean of 5
    regions = read_embeddings(built / "embed_regions", with_patches=True)
    assert regions.patches.shape == (66, len(POSITIONS), 16)
    assert regions.vectors.shape == (66, 0)


def test_scores_hold_the_pairs_and_a_column_each(built):
    import pyarrow.parquet as pq

    table = pq.read_table(built / "verify/scores.parquet")
    cosines = [f"{kind}:{network}" for network in NETWORKS for kind in ("cosine", "cosine_centred")]
    single = [f"region.{name}" for name in POSITIONS]
    assert table.column_names == [*PAIRS.names, "raw_pixel", *cosines, *COMBINATIONS, "dam_r", "dam_l", *single]
    assert table.num_rows == 40
    for name in table.column_names[len(PAIRS.names) :]:
        assert str(table.schema.field(name).type) == "float"
        assert np.isfinite(table[name].to_numpy()).all()


def test_metrics_calibrations_and_curves(built):
    metrics = read_json(built / "verify/metrics.json")
    assert set(metrics) == {"val", "synthetic"}
    assert {figures["num_dropped"] for figures in metrics["synthetic"].values()} == {1}
    assert {figures["num_dropped"] for figures in metrics["val"].values()} == {0}
    # The patterns are 16 px squares: pixels see them, and so do regions and, through random filters, whole faces.
    assert metrics["synthetic"]["raw_pixel"]["auc"] > 0.99
    assert metrics["synthetic"]["regions_28_56"]["auc"] > 0.8
    assert not [name for name in metrics["synthetic"] if name.startswith("region.")]
    for figures in metrics["synthetic"].values():
        assert (figures["num_genuine"], figures["num_impostor"]) == (10, 10)
        assert "tar@0.1" in figures
        assert "tar@0.01" not in figures
    calibrations = read_calibrations(built / "verify/calibration.json")
    assert set(calibrations) == set(metrics["val"])
    assert {each.protocol for each in calibrations.values()} == {"val"}
    with (built / "verify/roc.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert {(row["protocol"], row["score"]) for row in rows} == {(p, s) for p in metrics for s in metrics[p]}


def test_table_of_regions_is_that_of_the_scores(built):
    import pyarrow.parquet as pq

    with (built / "verify/regions.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    order = [*(f"region.{name}" for name in POSITIONS), *COMBINATIONS, "cosine:iresnet"]
    assert [row["score"] for row in rows if row["protocol"] == "synthetic"] == order
    assert {row["protocol"] for row in rows} == {"val", "synthetic"}
    table = pq.read_table(built / "verify/scores.parquet").to_pandas()
    table = table[table.protocol == "synthetic"]
    genuine, impostor = (table[table.genuine == wanted]["region.p56_x28_y28"].to_numpy() for wanted in (True, False))
    (row,) = (row for row in rows if (row["protocol"], row["score"]) == ("synthetic", "region.p56_x28_y28"))
    auc = np.mean(genuine[:, None] > impostor) + np.mean(genuine[:, None] == impostor) / 2  # Mann-Whitney, all pairs
    assert float(row["auc"]) == pytest.approx(auc, abs=1e-12)
    metrics = read_json(built / "verify/metrics.json")["synthetic"]
    (row,) = (row for row in rows if (row["protocol"], row["score"]) == ("synthetic", "regions_28_56"))
    assert float(row["eer"]) == metrics["regions_28_56"]["eer"]


def test_anchors_and_weights(built):
    metrics = read_json(built / "anchors/metrics.json")
    assert (metrics["num_anchors"], metrics["num_training_images"]) == (12, 36)
    assert metrics["lid_rmse"] > 0
    fits = read_region_fits(built / "region_weights/weights.json", POSITIONS)
    assert list(fits) == COMBINATIONS
    assert {fit.uncertainty.num_samples for fit in fits.values()} == {4}
    metrics = read_json(built / "region_weights/metrics.json")
    assert set(metrics) == set(COMBINATIONS)
    assert metrics["regions_28_56"]["training_accuracy"] > 0.7
    assert not [key for row in metrics.values() for key in row if key.startswith("weight")]
    assert (built / "region_weights/weight_map.png").read_bytes().startswith(b"\x89PNG")


def test_weights_and_their_errors_are_in_mlflow(built):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{built}/mlflow.db")
    (experiment,) = (found for found in client.search_experiments() if found.name == "face-verifier")
    (run,) = client.search_runs([experiment.experiment_id], "tags.stage = 'fit_region_weights'")
    fits = read_region_fits(built / "region_weights/weights.json", POSITIONS)
    for name, fit in fits.items():
        assert run.data.metrics[f"{name}/strength"] == fit.weights.strength
        logged = [run.data.metrics[f"{name}/standard_error.{position}"] for position in fit.weights.positions]
        assert logged == fit.uncertainty.standard_errors.tolist()
        assert run.data.metrics[f"{name}/weight.{fit.weights.positions[0]}"] == fit.weights.weights[0]
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {"weights.json", "weight_map.png"}


@pytest.mark.parametrize(
    ("argument", "path", "message"),
    [
        ("region_weights", "absent.json", "absent.json"),
        ("anchors", "absent", "build_anchors"),
        ("embedded", "absent", "run the embed stage"),
        ("embedded_regions", "absent", "run the embed stage"),
        ("embedded_regions", "embed/iresnet", "other positions"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_written(built, monkeypatch, tmp_path, argument, path, message):
    monkeypatch.chdir(built)
    with pytest.raises(PipelineError, match=message):
        run_verify(**{argument: Path(path), "out": tmp_path / "out"})
    assert not list(tmp_path.rglob("*.*"))


def test_region_features_of_other_positions_are_refused(built, monkeypatch, tmp_path):
    monkeypatch.chdir(built)
    with pytest.raises(DataError, match="other positions"):
        fit_region_weights.main(Path("embed/iresnet"), tmp_path / "out")
