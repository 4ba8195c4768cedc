"""The house's rules that a machine can check: import directions, DVC deps, file sizes, configuration."""

import ast
import re
import shutil
import statistics
from pathlib import Path

import pytest
import yaml
from imports import (
    DECISIVE_PACKAGES,
    REPOSITORY,
    code_deps,
    code_units,
    imported_modules,
    listed_packages,
    packages,
    read_stages,
)

from pipeline_lib.check import check_params

# From top to bottom as data flows: a wing imports only from those above it, and a room within a wing likewise.
WINGS = {
    "core": [], "params": [], "schemas": [],
    "data": ["photos", "synthetic", "sources", "shards", "faces", "patches", "occlusion", "exports"],
    "networks": ["backbones", "heads", "over", "embedding", "embeddings", "attack", "training", "generator"],
    "matching": ["emd", "regions", "dam", "anchors", "scores", "rerankers", "retrieval", "verification"],
    "why": ["explanation", "faithfulness", "study"],
    "tracking": [],
    "delivery": ["verifier", "registry", "claims", "report", "verdict", "identify", "bulk", "serve"],
}  # fmt: skip
STAGES = read_stages()
SOURCE_FILES = sorted(
    path.relative_to(REPOSITORY)
    for root in ("pipeline_lib", "stages", "flows")
    for path in (REPOSITORY / root).rglob("*.py")
)


def test_every_folder_is_in_the_order() -> None:
    folders = {
        path.name for path in (REPOSITORY / "pipeline_lib").iterdir() if path.is_dir() and path.name != "__pycache__"
    }
    assert folders == set(WINGS)
    for wing, rooms in WINGS.items():
        inside = {path.name for path in (REPOSITORY / "pipeline_lib" / wing).iterdir() if path.is_dir()}
        assert inside - {"__pycache__"} == set(rooms), wing


@pytest.mark.parametrize("file", [path for path in SOURCE_FILES if path.parts[0] == "pipeline_lib"], ids=str)
def test_pipeline_lib_imports_only_upwards(file: Path) -> None:
    for module in imported_modules(file):
        parts = module.split(".")
        assert parts[0] not in ("stages", "flows", "prefect", "dvc"), f"{file} imports {module}"
        if parts[0] == "mlflow":
            allowed = ("tracking", "delivery", "cli.py")
            assert file.parts[1] in allowed, f"{file} imports {module}: MLflow belongs to tracking/ and delivery/"
        if parts[0] == "pipeline_lib" and len(parts) > 1 and len(file.parts) > 2:
            assert place(module_path(module)) <= place(file), f"{file} imports {module}, which comes after it"


def module_path(module: str) -> Path:
    return Path(*module.split("."))


def place(path: Path) -> tuple[int, int]:
    """Where a file stands in the order: its wing and its room; what lies beside the rooms comes after them."""
    wing, *rest = path.parts[1:]
    rooms = WINGS[wing]
    room = rooms.index(rest[0]) if rest and rest[0] in rooms else len(rooms)
    return list(WINGS).index(wing), room


@pytest.mark.parametrize("file", [path for path in SOURCE_FILES if path.parts[0] in ("stages", "flows")], ids=str)
def test_stages_and_flows_keep_their_side(file: Path) -> None:
    modules = {module.split(".")[0] for module in imported_modules(file)}
    if file.parts[0] == "stages":
        assert not modules & {"flows", "prefect", "dvc", "mlflow"}
        assert len((REPOSITORY / file).read_text().splitlines()) <= 80
    elif file.name != "dvc_graph.py":
        assert "dvc" not in modules
        assert "stages" not in modules


@pytest.mark.parametrize("file", SOURCE_FILES, ids=str)
def test_files_are_short(file: Path) -> None:
    assert len((REPOSITORY / file).read_text().splitlines()) <= 400


@pytest.mark.parametrize("file", [path for path in SOURCE_FILES if path.name == "__init__.py"], ids=str)
def test_packages_hold_no_code(file: Path) -> None:
    """The import closure leaves __init__.py out, so it must hold nothing that a stage could depend on."""
    body = ast.parse((REPOSITORY / file).read_text()).body
    assert len(body) == 1
    assert isinstance(body[0], ast.Expr)


@pytest.mark.parametrize("name", list(STAGES))
def test_deps_are_the_rooms_of_the_import_closure(name: str) -> None:
    """All of them, and none beside: what is listed reruns the stage, what is not listed cannot."""
    assert code_deps(STAGES[name]) == code_units(STAGES[name]), "run: python tests/architecture/imports.py --write"


@pytest.mark.parametrize("name", list(STAGES))
def test_packages_are_those_the_closure_imports(name: str) -> None:
    assert listed_packages(STAGES[name]) == packages(STAGES[name]), "run: python tests/architecture/imports.py --write"


def test_versions_are_those_of_the_lock() -> None:
    locked = dict(
        line.split("==") for line in (REPOSITORY / "requirements.lock").read_text().splitlines() if "==" in line
    )
    versions = yaml.safe_load((REPOSITORY / "versions.yaml").read_text())
    assert versions == {name: locked[name] for name in versions}
    assert set(versions) == set(DECISIVE_PACKAGES.values())


@pytest.mark.parametrize("name", list(STAGES))
def test_no_stage_depends_on_records_or_on_the_machine(name: str) -> None:
    assert not [dep for dep in STAGES[name]["deps"] if "tracking" in dep or "machine" in dep]


def test_dvc_yaml_is_short() -> None:
    assert len((REPOSITORY / "dvc.yaml").read_text().splitlines()) <= 390


def test_files_are_small() -> None:
    sizes = [(REPOSITORY / file).stat().st_size for file in SOURCE_FILES if file.name != "__init__.py"]
    assert statistics.median(sizes) <= 4500
    assert max(sizes) <= 16_000


@pytest.mark.parametrize("name", list(STAGES))
def test_paths_of_a_command_are_declared(name: str) -> None:
    """Every data/ path a command names is a dependency, an output, or a folder of such."""
    stage = STAGES[name]
    declared = [
        path if isinstance(path, str) else next(iter(path))
        for key in ("deps", "outs", "metrics", "plots")
        for path in stage.get(key, [])
    ]
    for path in re.findall(r"(?:^|[\s'])(data(?:/[^\s']+)?)", stage["cmd"]):
        assert any(entry == path or entry.startswith(f"{path}/") for entry in declared), f"{path} is not declared"


@pytest.mark.parametrize("name", list(STAGES))
def test_a_shell_reads_no_more_of_params_than_names(name: str) -> None:
    """In single quotes, which no name holds (params.whole): entries, and the fields that name entries or their places."""
    command = STAGES[name]["cmd"]
    inside = re.findall(r"'[^']*'", command)
    assert command.count("${") == sum(text.count("${") for text in inside)
    assert set(re.findall(r"\$\{(.*?)\}", command)) <= {"key", "item.network", "item.of", "item.with", "item.judge"}


def test_params_are_the_composed_demo(tmp_path: Path) -> None:
    assert compose(tmp_path) == yaml.safe_load((REPOSITORY / "params.yaml").read_text())


@pytest.mark.parametrize("data", ["demo", "cfp_lfw", "image_folder"])
@pytest.mark.parametrize("scale", ["demo", "smoke", "small", "tables", "paper"])
def test_every_composition_is_valid(data: str, scale: str, tmp_path: Path) -> None:
    compose(tmp_path, f"data={data}", f"scale={scale}")
    check_params(tmp_path / "params.yaml", files=False)


@pytest.mark.parametrize("scale", ["distilled", "thesis", "scores"])
def test_scales_for_photographs_with_names_are_valid(scale: str, tmp_path: Path) -> None:
    compose(tmp_path, "data=cfp_lfw", f"scale={scale}")
    check_params(tmp_path / "params.yaml", files=False)


@pytest.mark.parametrize(
    "groups", [("data=demo",), ("data=cfp_lfw", "scale=small", "generators.gan.judge=dlib_resnet")]
)
def test_a_generator_is_one_group_more(groups: tuple[str, ...], tmp_path: Path) -> None:
    compose(tmp_path, *groups, "generator=gan")
    params = check_params(tmp_path / "params.yaml", files=False)
    assert params.anchors["generated"].network == params.generators["gan"].judge


@pytest.mark.parametrize("data", ["cfp_lfw", "image_folder"])
def test_untrained_takes_what_is_published_and_no_more(data: str, tmp_path: Path) -> None:
    composed = compose(tmp_path, f"data={data}", "scale=untrained")
    params = check_params(tmp_path / "params.yaml", files=False)
    assert params.networks
    assert not any(network.epochs for network in params.networks.values())
    assert set(params.scores) == {"raw_pixel", "cosine"}
    assert not {"anchors", "galleries", "rerank", "explanations"} & set(composed)
    assert composed["regions"] == {"alone": {}, "margin_px": 5}  # shard_patches, which is always there, cuts none


def test_galleries_wait_for_their_network_and_for_attacks(tmp_path: Path) -> None:
    """Also where the network is one over others; in the demo, which attacks nothing, for the network alone."""
    from dvc.repo import Repo

    compose(tmp_path, "data=cfp_lfw", "scale=tables")
    for name in ("dvc.yaml", "versions.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    index = Repo.init(str(tmp_path), no_scm=True).index
    after = {stage.name: {one.name for one in index.graph.successors(stage)} for stage in index.stages}
    attack = "attack@adversarial"
    assert after["embed_gallery@iresnet"] == {"align", "occlude", attack, "train@iresnet"}
    assert after["embed_gallery@iresnet_finetuned"] == {"align", "occlude", attack, "train_over@iresnet_finetuned"}
    assert after[attack] == {"align", "occlude", "train@iresnet"}
    assert "train@iresnet" in after["train_over@iresnet_finetuned"]


def test_no_machine_path_or_secret_is_committed() -> None:
    """Absolute paths of a developer's machine in a tracked file would leak it and break elsewhere."""
    for file in [
        *SOURCE_FILES,
        Path("dvc.yaml"),
        Path("params.yaml"),
        Path("machine.yaml"),
        Path("prefect.yaml"),
        Path("Makefile"),
    ]:
        assert not re.search(r"(?<![\w.])/(root|home|work|Users)/", (REPOSITORY / file).read_text()), file


def compose(folder: Path, *overrides: str) -> dict:
    """params.yaml as DVC composes it from conf/."""
    from dvc.utils.hydra import compose_and_dump

    output = folder / "params.yaml"
    compose_and_dump(str(output), str(REPOSITORY / "conf"), None, "config", None, list(overrides))
    return yaml.safe_load(output.read_text())
