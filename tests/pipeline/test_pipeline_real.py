"""The path of conf/data/cfp_lfw.yaml on real photographs, at smoke size: CFP for training, LFW and CFP for testing."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from checkout import Checkout

from pipeline_lib.data.sources.shared.names import normalise_name

pytestmark = [pytest.mark.slow, pytest.mark.faces, pytest.mark.timeout(2400)]


ABSENT = {
    "conf/papers/all.yaml": (
        "regions",
        "scores.regions",
        "explanations.rrfnet28_additive",
        "explanations.rrfnet28_random",
        "networks_over",
        *(f"explanations.iresnet_{name}" for name in ("xface", "xcos_w", "xcos_s", "cross_correlation", "emd_flow")),
    ),
    "conf/scale/smoke.yaml": ("regions", "networks.rrfnet28", "networks_over"),
}


def leave_out(file: Path, keys: tuple[str, ...]) -> None:
    """Take keys, named from the top by dots, out of a group of conf/."""
    head, document = file.read_text().partition("\n")[0], yaml.safe_load(file.read_text())
    for key in keys:
        *tables, last = key.split(".")
        table = document
        for name in tables:
            table = table[name]
        del table[last]
    file.write_text(f"{head}\n{yaml.safe_dump(document)}")


@pytest.fixture(scope="module")
def built(repository: Path, faces_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `make repro DATA=cfp_lfw SCALE=smoke`'s command has run, but for what test_pipeline_demo has, too:
    RRFNet-28, region networks, xCos, some explanations, mirrored images.
    """
    environment = {"FACES_DIR": str(faces_dir.resolve()), "OMP_NUM_THREADS": "1"}  # the other core tests as well
    checkout = Checkout(repository, tmp_path_factory.mktemp("real") / "checkout", **environment)
    for name, absent in ABSENT.items():
        leave_out(checkout.folder / name, absent)
    checkout.use_one_process()  # test_pipeline_demo has several, and mirrored images
    enough = "ingest.pairs_per_fold=40"  # validation pairs, of which smoke's 20 are too few to choose and calibrate on
    faster = "align.min_face_px=80"  # nothing is enlarged for smaller faces, of which there are next to none
    groups = ("data=cfp_lfw", "scale=smoke", "embed.mirror=false", enough, faster)
    checkout.run("dvc", "exp", "run", *(word for group in groups for word in ("--set-param", group)))
    return checkout


def test_no_training_identity_is_named_in_lfw(built: Checkout, faces_dir: Path) -> None:
    names = {normalise_name(line.split("\t")[0]) for line in (faces_dir / "lfw/lfw-names.txt").read_text().splitlines()}
    assert len(names) > 5000
    manifest = pq.read_table(built.folder / "data/ingest/manifest.parquet").to_pylist()
    trained = {row["identity"] for row in manifest if row["split"] in ("train", "val")}
    assert trained
    assert not trained & names


def test_imported_networks_verify_lfw(built: Checkout) -> None:
    """Two folds resolve 1/1200; 97.5 % leaves three standard errors (0.33 %) below what the weaker network has without mirrored
    images: 98.4 %, the other 99.0 %.
    """
    metrics = json.loads((built.folder / "data/verify/metrics.json").read_text())
    for network in ("mobilefacenet", "dlib_resnet"):
        assert metrics["lfw"][f"cosine:{network}"]["num_genuine"] == 600
        assert metrics["lfw"][f"cosine:{network}"]["accuracy_mean"] > 0.975
    assert {"lfw", "cfp_ff", "cfp_fp", "val"} <= set(metrics)
    assert metrics["cfp_fp"]["cosine:mobilefacenet"]["auc"] > 0.8


def test_an_imported_network_wins_and_the_pulled_model_verifies_lfw(built: Checkout, faces_dir: Path) -> None:
    """The best column on the validation pairs becomes the model; 200 pairs of LFW, which it sees as files."""
    registered = json.loads((built.folder / "data/register/registered.json").read_text())
    assert registered["metric"]["score"].partition(":")[2] in ("mobilefacenet", "dlib_resnet")
    assert registered["reason"].startswith("there was no champion, and it beats raw pixels (+")
    pairs = pq.read_table(built.folder / "data/ingest/pairs.parquet").to_pylist()
    uri_of = {
        row["image_id"]: row["uri"] for row in pq.read_table(built.folder / "data/ingest/manifest.parquet").to_pylist()
    }
    lfw = [row for row in pairs if row["protocol"] == "lfw"]
    chosen = [*[row for row in lfw if row["genuine"]][:100], *[row for row in lfw if not row["genuine"]][:100]]
    rows = [[uri_of[row["image_a"]], uri_of[row["image_b"]], row["genuine"]] for row in chosen]
    (built.folder / "lfw.json").write_text(json.dumps(rows))
    code = """
import json, mlflow, pandas
from pathlib import Path
rows = json.load(open("lfw.json"))
model = mlflow.pyfunc.load_model("models:/face-verifier@champion")
files = [[Path(name) for name in row[:2]] for row in rows]
answers = model.predict(pandas.DataFrame(files, columns=["image_a", "image_b"]))
print(json.dumps([None if match is None else bool(match) for match in answers["match"]]))
"""
    environment = {**built.environment, "MLFLOW_TRACKING_URI": f"sqlite:///{built.folder}/mlflow.db"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=built.folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answered = json.loads(done.stdout.splitlines()[-1])
    right = [match == row[2] for match, row in zip(answered, rows, strict=True)]
    # 98.5 % is asked of all 6,000 (docs/results.md); 200 resolve 0.5 %, and two standard errors are 1.7 %
    assert sum(right) >= 0.965 * len(right)


def test_nearly_every_photograph_was_aligned(built: Checkout) -> None:
    aligned = len(
        set(pq.read_table(built.folder / "data/align/index.parquet")["image_id"].to_pylist())
    )  # a row a member
    rejected = pq.read_table(built.folder / "data/align/rejects.parquet").num_rows
    assert aligned + rejected == pq.read_table(built.folder / "data/ingest/manifest.parquet").num_rows
    assert rejected / aligned < 0.05
