"""What a change reruns: one line changed, and the exact set of stages that DVC then names."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from checkout import Checkout
from dvc.repo import Repo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PARAMS = yaml.safe_load((Path(__file__).parent.parent.parent / "params.yaml").read_text())
EXPLAIN = {f"explain@{name}" for name in PARAMS["explanations"]}
SCORES = {f"score@{name}" for name in PARAMS["scores"]}


@pytest.fixture(scope="module")
def done(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The demo's graph as if every stage had run: made files that DVC takes for its outputs."""
    checkout = Checkout(repository, tmp_path_factory.mktemp("reruns") / "checkout")
    weights = checkout.folder / "weights"
    weights.mkdir()
    for name in ("detector.pth", "network.pth"):
        (weights / name).write_text(name)
    params = read(checkout)
    params["align"] |= {"detector": "retinaface_mobilenet", "weights": "weights/detector.pth"}
    imported = {"arch": "mobilefacenet", "embedding_dim": 128, "head": {"kind": "none"}, "epochs": 0}
    params["networks"]["imported"] = {**imported, "checkpoint": "weights/network.pth", "teacher": "none"}
    params["networks"]["adaface"] = {
        **params["networks"]["iresnet"],
        "head": {"kind": "adaface", "scale": 32.0, "margin": 0.4},
    }
    write(checkout, params)
    repo = Repo(str(checkout.folder))
    for stage in repo.index.stages:
        for out in stage.outs:
            path = Path(out.fs_path)
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix:
                path.write_text("{}" if path.suffix == ".json" else path.name)
            else:
                path.mkdir()
                (path / "file").write_text(path.name)
    for stage in repo.index.stages:
        for dep in stage.deps:  # a folder within an output: a region network's patches
            if not (path := Path(dep.fs_path)).exists():
                path.mkdir()
                (path / "file").write_text(path.name)
    checkout.run("dvc", "commit", "--force")
    assert stale(checkout) == set()
    return checkout


@pytest.fixture
def changed(done: Checkout) -> Iterator[Checkout]:
    """The same, for a test to change a file of it; afterwards everything is as before."""
    yield done
    done.run("git", "checkout", "-q", "--", "pipeline_lib", "stages", "machine.yaml", "versions.yaml")
    done.run("git", "clean", "-q", "-f", "pipeline_lib")
    for name in ("detector.pth", "network.pth"):
        (done.folder / "weights" / name).write_text(name)


def stale(checkout: Checkout) -> set[str]:
    """The stages that `dvc status` names."""
    return {address.rpartition(":")[2] for address in Repo(str(checkout.folder)).status()}


def read(checkout: Checkout) -> dict:
    return yaml.safe_load((checkout.folder / "params.yaml").read_text())


def write(checkout: Checkout, params: dict) -> None:
    (checkout.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def comment(checkout: Checkout, file: str) -> None:
    path = checkout.folder / file
    path.write_text(path.read_text() + "# a word more\n")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("pipeline_lib/tracking/stage_run.py", set()),
        ("pipeline_lib/params/machine.py", set()),
        ("machine.yaml", set()),
        ("flows/rebuild.py", set()),
        ("pipeline_lib/cli.py", set()),
        ("pipeline_lib/networks/heads/adaface.py", {"train@adaface"}),
        ("pipeline_lib/networks/heads/uniface.py", set()),
        ("pipeline_lib/networks/backbones/vit.py", set()),
        ("pipeline_lib/networks/over/finetuned.py", set()),
        ("pipeline_lib/networks/attack/pgd.py", set()),
        ("pipeline_lib/params/attacks.py", {"report"}),
        ("pipeline_lib/networks/backbones/mobilefacenet.py", {"train@imported"}),
        (
            "pipeline_lib/networks/backbones/iresnet.py",
            {"train@iresnet", "train@rrfnet56", "train@rrfnet28", "train@adaface", "train_region@p56_x28_y28"}
            | {"train_regions@p56", "train_regions@p28"}
            | EXPLAIN,  # xFace computes what a square changes of an IResNet's maps
        ),
        ("pipeline_lib/matching/emd/weights.py", {"rerank@uniform", "rerank@apc", "report", *SCORES} | EXPLAIN),
        ("pipeline_lib/matching/rerankers/emd.py", {"rerank@uniform", "rerank@apc", "report"}),  # whose flows it draws
        ("pipeline_lib/matching/dam/lid.py", {"build_anchors@real", "report", *SCORES}),
        ("pipeline_lib/matching/scores/dam.py", {"score@dam"}),
        ("pipeline_lib/matching/anchors/real.py", {"build_anchors@real"}),
        ("pipeline_lib/matching/anchors/generated.py", set()),
        (
            "pipeline_lib/why/explanation/random.py",
            {name for name in EXPLAIN if name.endswith("_random")},
        ),
        ("pipeline_lib/delivery/report/chapters/rejects.py", {"report"}),
        ("pipeline_lib/delivery/claims/rrfnet.py", {"claims", "report"}),  # which shows them
        ("pipeline_lib/params/rerank.py", {"rerank@uniform", "rerank@apc", "report"}),
        ("stages/verify.py", {"verify"}),
        ("weights/detector.pth", {"align", "build_anchors@real", "register"}),
        ("weights/network.pth", {"train@imported"}),
    ],
)
def test_a_changed_file(changed: Checkout, file: str, expected: set[str]) -> None:
    comment(changed, file)
    assert stale(changed) == expected


@pytest.mark.parametrize(
    "file",
    [
        "pipeline_lib/networks/backbones/toy.py", "pipeline_lib/networks/heads/toy.py", "pipeline_lib/networks/over/toy.py",
        "pipeline_lib/matching/scores/toy.py", "pipeline_lib/matching/rerankers/toy.py", "pipeline_lib/why/explanation/toy.py",
        "pipeline_lib/matching/anchors/toy.py",
    ],
)  # fmt: skip
def test_a_new_kind_that_nobody_names_reruns_nothing(changed: Checkout, file: str) -> None:
    (changed.folder / file).write_text('"""A toy."""\n')
    assert stale(changed) == set()


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("pipeline_lib/data/sources/toy.py", {"ingest"}),
        ("pipeline_lib/matching/verification/protocols/toy.py", {"verify", "register", "claims", "report"}),
        ("pipeline_lib/delivery/report/chapters/toy.py", {"report"}),
    ],
)
def test_a_new_kind_of_which_a_stage_opens_several(changed: Checkout, file: str, expected: set[str]) -> None:
    (changed.folder / file).write_text('"""A toy."""\n')
    assert stale(changed) == expected


def change_pictures(params: dict) -> None:
    params["explain"]["num_pictures"] += 1


def change_strengths(params: dict) -> None:
    params["regions"]["weights"]["logistic"]["num_bootstrap"] += 1


def change_epochs(params: dict) -> None:
    params["networks"]["rrfnet56"]["epochs"] += 1


def add_score(params: dict) -> None:
    params["scores"]["again"] = params["scores"]["cosine"]


def add_network(params: dict) -> None:
    params["networks"]["another"] = params["networks"]["iresnet"]


def add_explanation(params: dict) -> None:
    params["explanations"]["again"] = params["explanations"]["rrfnet56_random"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (change_pictures, EXPLAIN),
        (
            change_strengths,
            {"fit_region_weights@logistic"},
        ),
        (change_epochs, {"train@rrfnet56"}),
        (add_score, {"score@again"}),
        (add_network, {"train@another", "embed@another"}),
        (add_explanation, {"explain@again"}),
    ],
)
def test_a_changed_param(done: Checkout, change: Callable[[dict], None], expected: set[str]) -> None:
    """The report shows params.yaml, so it is among them each time."""
    params = read(done)
    try:
        altered = read(done)
        change(altered)
        write(done, altered)
        assert stale(done) == expected | {"report"}
    finally:
        write(done, params)


def test_another_version_of_a_package(changed: Checkout) -> None:
    """dlib decides detection, what the registered model says of a photograph, where a gallery's landmarks are, and what of a
    folder of photographs can be anchors.
    """
    path = changed.folder / "versions.yaml"
    path.write_text(path.read_text().replace('dlib-bin: "', 'dlib-bin: "9'))
    assert stale(changed) == {"align", "build_anchors@real", "embed_gallery@iresnet", "register"}


def test_absent_tables_leave_their_stages_out(done: Checkout, tmp_path: Path) -> None:
    """Each table of params may be absent: DVC then has no stage for it, and no stage lacks a parameter or a folder.

    shard_patches cuts the patches of all of regions.alone, or of none.
    """
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(done.folder / name, tmp_path / name)
    params = read(done)
    tables = ("networks", "networks_over", "anchors", "scores", "galleries", "rerank", "explanations")
    left = {key: value for key, value in params.items() if key not in tables}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(left | {"regions": {"alone": {}, "margin_px": 5}}))
    stages = {stage.name: stage for stage in Repo.init(str(tmp_path), no_scm=True).index.stages}
    assert set(stages) == {"ingest", "align", "occlude", "shard_patches", "verify", "register", "claims", "report"}
    written = {out.def_path for stage in stages.values() for out in stage.outs}
    needed = {dep.def_path for stage in stages.values() for dep in stage.deps if dep.def_path.startswith("data/")}
    left = {path for path in needed if not any(path == out or out.startswith(f"{path}/") for out in written)}
    assert {path for path in left if not (done.folder / path / ".gitkeep").exists()} <= {"data/raw", "data/none"}
