"""What a stage stands on, read from the source: the code and the packages that its `deps` and `params` in dvc.yaml must name.

`python tests/architecture/imports.py --write` rewrites both in dvc.yaml.
"""

import ast
import itertools
import re
import sys
import textwrap
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).parent.parent.parent
ROOTS = ("pipeline_lib", "stages")
WIDTH = 160
# Records of runs decide no result; machine.yaml neither.
NO_DEPENDENCY = ("pipeline_lib/tracking/", "pipeline_lib/params/machine.py")
# Of which every file is a concept of its own, so that a change reaches only those who use it.
FILE_BY_FILE = ("params", "schemas")
# Folders of kinds of which one stage opens several, which dvc.yaml cannot tell: it lists the whole folder.
WHOLE = ("data.sources", "matching.verification.protocols", "delivery.report.chapters")
# What a stage's numbers or pictures come from, by the name it is imported by. versions.yaml has the versions.
DECISIVE_PACKAGES = {
    "cv2": "opencv-python-headless",
    "dlib": "dlib-bin",
    "face_recognition_models": "face_recognition_models",
    "faiss": "faiss-cpu",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "PIL": "pillow",
    "pyarrow": "pyarrow",
    "scipy": "scipy",
    "simplejpeg": "simplejpeg",
    "sklearn": "scikit-learn",
    "torch": "torch",
}


def module_file(module: str) -> Path | None:
    """The file of one of our modules, relative to the repository; None for foreign modules and for docstring-only packages."""
    if module.split(".")[0] not in ROOTS:
        return None
    path = Path(*module.split("."))
    return path.with_suffix(".py") if (REPOSITORY / path.with_suffix(".py")).is_file() else None


def imported_modules(file: Path) -> set[str]:
    """Every module a file imports anywhere in it, inside functions too; `from a import b` gives a and a.b."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse((REPOSITORY / file).read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def named_files(file: Path) -> set[Path]:
    """Files that a module names in a string and reads or runs (a template, a script beside it), or that a template includes."""
    text = (REPOSITORY / file).read_text()
    if file.suffix == ".py":
        constants = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
        names = {value for value in constants if isinstance(value, str) and re.fullmatch(r"\w+(\.\w+)+", value)}
    else:
        names = set(re.findall(r'{% include "([^"]+)" %}', text))
    folder = (REPOSITORY / file).parent
    places = [folder, *(path for path in folder.iterdir() if path.is_dir())]
    return {(place / name).relative_to(REPOSITORY) for place in places for name in names if (place / name).is_file()}


def kind_files(file: Path) -> set[Path]:
    """All kinds of the folders of WHOLE that a file names."""
    constants = {
        node.value for node in ast.walk(ast.parse((REPOSITORY / file).read_text())) if isinstance(node, ast.Constant)
    }
    folders = [REPOSITORY / "pipeline_lib" / package.replace(".", "/") for package in WHOLE if package in constants]
    found = {path.relative_to(REPOSITORY) for folder in folders for path in folder.glob("*.py")}
    return {path for path in found if path.name != "__init__.py"}


def import_closure(file: Path) -> set[Path]:
    """All files of ours that `file` reaches by imports or by name, itself included, less those that decide no result."""
    closure, todo = set(), [file]
    while todo:
        current = todo.pop()
        if current in closure or str(current).startswith(NO_DEPENDENCY):
            continue
        closure.add(current)
        todo += named_files(current)
        if current.suffix == ".py":
            todo += [found for module in imported_modules(current) if (found := module_file(module))]
            todo += kind_files(current)
    return closure


def unit(file: Path) -> str:
    """What dvc.yaml lists for a file: its room, or itself where each file of the room is a concept of its own.

    A room of kinds has a folder shared/, which is listed; of its kinds dvc.yaml lists the one that params name.
    """
    wing, *rest = file.parts[1:]
    if file.parts[0] == "stages" or not rest or wing in FILE_BY_FILE:
        return str(file)
    if wing == "core":
        return "pipeline_lib/core"
    room, *inside = rest
    if not inside:
        return str(file)
    if inside[0] == "shared":
        return str(file.parent)
    if f"{wing}.{room}" not in WHOLE and (REPOSITORY / "pipeline_lib" / wing / room / "shared").is_dir():
        return str(file)
    return str(Path("pipeline_lib", wing, room))


def named_kinds(stage: dict) -> set[Path]:
    """Every kind that params may name in a stage's deps: the modules of the folders of its `.../${item.kind}.py`."""
    folders = [
        REPOSITORY / dep.partition("/${")[0] for dep in stage["deps"] if dep.split("/")[0] in ROOTS and "/${" in dep
    ]
    found = {path.relative_to(REPOSITORY) for folder in folders for path in folder.glob("*.py")}
    return {path for path in found if path.name != "__init__.py"}


def stage_closure(stage: dict) -> set[Path]:
    """What a stage may come to run: its script's closure, and what the kinds that params may name stand on.

    One kind's imports are in every entry's deps, since dvc.yaml cannot tell which it has: rather a rerun too many than a stale
    result. The kinds themselves are left out, for dvc.yaml names the entry's own.
    """
    kinds = named_kinds(stage)
    return set().union(import_closure(stage_file(stage)), *map(import_closure, kinds)) - kinds


def code_units(stage: dict) -> set[str]:
    """What a stage's deps must list of our code, but for the kinds that params name."""
    units = {unit(file) for file in stage_closure(stage)}
    return {name for name in units if not any(name.startswith(f"{other}/") for other in units)}


def packages(stage: dict) -> list[str]:
    """The distributions that decide what a stage writes, sorted."""
    files = [file for file in stage_closure(stage) | named_kinds(stage) if file.suffix == ".py"]
    names = {module.split(".")[0] for file in files for module in imported_modules(file)}
    return sorted({DECISIVE_PACKAGES[name] for name in names & set(DECISIVE_PACKAGES)}, key=str.lower)


def stage_file(stage: dict) -> Path:
    """The entry script that a stage's command runs with -m."""
    words = stage["cmd"].split()
    module = next(word for flag, word in itertools.pairwise(words) if flag == "-m" and word.startswith("stages."))
    return Path(*module.split(".")).with_suffix(".py")


def read_stages() -> dict[str, dict]:
    """The stages of dvc.yaml by name; of a foreach, what it repeats."""
    document = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text())
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def code_deps(stage: dict) -> set[str]:
    """The entries of a stage's deps that are code, but for the kinds that params name."""
    return {dep for dep in stage["deps"] if dep.split("/")[0] in ROOTS and "${" not in dep}


def listed_packages(stage: dict) -> list[str]:
    """The packages of versions.yaml that a stage's params name."""
    found = [
        entry["versions.yaml"] for entry in stage["params"] if isinstance(entry, dict) and "versions.yaml" in entry
    ]
    return found[0] if found else []


def rewritten(text: str) -> str:
    """dvc.yaml with every stage's code deps and packages as the source has them."""
    for name, stage in read_stages().items():
        start = text.index(f"\n  {name}:\n") + 1
        end = re.search(r"\n  \w+:\n|\Z", text[start + 1 :]).start() + start + 1
        block = text[start:end]
        data = [dep for dep in stage["deps"] if dep not in code_deps(stage)]
        indent = re.search(r"( +)deps: \[", block)[1]
        block = re.sub(r" +deps: \[[^\]]*\]", _flow(indent, "deps", [*sorted(code_units(stage)), *data]), block)
        versions = f"versions.yaml: [{', '.join(packages(stage))}]"
        block = re.sub(r"versions\.yaml: \[[^\]]*\]", versions, block)
        text = text[:start] + block + text[end:]
    return text


def _flow(indent: str, key: str, items: list[str]) -> str:
    quoted = ", ".join(f'"{item}"' if "${" in item else item for item in items)
    folded = textwrap.fill(
        quoted, WIDTH, initial_indent=f"{indent}{key}: [", subsequent_indent=f"{indent}  ", break_on_hyphens=False
    )
    return f"{folded}]"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/architecture/imports.py --write")
    path = REPOSITORY / "dvc.yaml"
    path.write_text(rewritten(path.read_text()))
