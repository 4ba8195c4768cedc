"""The import closure of a stage, read from the source: what `deps` in dvc.yaml must list.

`python tests/architecture/imports.py --write` rewrites the code part of every stage's deps.
"""

import ast
import itertools
import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

REPOSITORY = Path(__file__).parent.parent.parent
ROOTS = ("pipeline_lib", "stages")


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


def import_closure(file: Path) -> set[Path]:
    """All files of ours that `file` reaches by imports or by name, itself included."""
    closure, todo = set(), [file]
    while todo:
        current = todo.pop()
        if current in closure:
            continue
        closure.add(current)
        todo += named_files(current)
        if current.suffix == ".py":
            todo += [found for module in imported_modules(current) if (found := module_file(module))]
    return closure


def stage_file(stage: dict) -> Path:
    """The entry script that a stage's command runs with -m."""
    words = stage["cmd"].split()
    module = next(word for flag, word in itertools.pairwise(words) if flag == "-m" and word.startswith("stages."))
    return Path(*module.split(".")).with_suffix(".py")


def stage_definitions(document: dict) -> dict:
    """The stages of dvc.yaml by name; of a foreach, what it repeats."""
    return {name: stage.get("do", stage) for name, stage in document["stages"].items()}


def code_deps(stage: dict) -> set[str]:
    """The entries of a stage's deps that are code."""
    return {dep for dep in stage["deps"] if dep.split("/")[0] in ROOTS}


def read_dvc_yaml() -> dict:
    """dvc.yaml as ruamel reads it, comments and order kept."""
    return YAML().load(REPOSITORY / "dvc.yaml")


def write_deps() -> None:
    """Put each stage's import closure before its data in deps."""
    document = read_dvc_yaml()
    for stage in stage_definitions(document).values():
        data = [dep for dep in stage["deps"] if dep not in code_deps(stage)]
        stage["deps"] = sorted(map(str, import_closure(stage_file(stage)))) + data
    yaml = YAML()
    yaml.width = 140
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(document, REPOSITORY / "dvc.yaml")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/architecture/imports.py --write")
    write_deps()
