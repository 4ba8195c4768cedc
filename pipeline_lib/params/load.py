"""params.yaml, read section by section: a stage reads those that decide its result, and no others."""

from pathlib import Path
from typing import Any, TypeVar

import yaml

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import checked
from pipeline_lib.params.section import Section

S = TypeVar("S", bound=Section)
PARAMS_FILE = Path("params.yaml")


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file's mapping.

    Raises:
        ParamsError: the file is missing, or holds no YAML mapping.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError("The parameter file is missing.", where=path) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError("The parameter file is no YAML.", got=error, where=path) from error
    if not isinstance(raw, dict):
        raise ParamsError("The parameter file holds no sections.", got=type(raw).__name__, where=path)
    return raw


def read_section(name: str, model: type[S], path: Path = PARAMS_FILE) -> S:
    """Section `name`; an absent one as its defaults.

    Raises:
        ParamsError: the file is missing, or the section's keys or values are wrong; names the keys.
    """
    return checked(model, read_yaml(path).get(name, {}), where=f"{path}, {name}")


def read_entries(name: str, model: type[S], path: Path = PARAMS_FILE) -> dict[str, S]:
    """A section that is a table of entries (networks, regions.weights, ...), none if it is absent; raises as read_section."""
    return {key: checked(model, value, where=f"{path}, {name}.{key}") for key, value in _table(name, path).items()}


def read_entry(name: str, key: str, model: type[S], path: Path = PARAMS_FILE) -> S:
    """One entry of a table; raises as read_section, also where there is no such entry."""
    entries = _table(name, path)
    if key not in entries:
        raise ParamsError("There is no such entry.", got=key, allowed=", ".join(entries), where=f"{path}, {name}")
    return checked(model, entries[key], where=f"{path}, {name}.{key}")


def _table(name: str, path: Path) -> dict[str, Any]:
    entries: Any = read_yaml(path)
    for part in name.split("."):
        entries = entries.get(part) or {}
        if not isinstance(entries, dict):
            raise ParamsError("A section is no table of entries.", got=entries, where=f"{path}, {name}")
    table: dict[str, Any] = entries
    return table
