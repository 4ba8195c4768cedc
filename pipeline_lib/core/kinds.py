"""Open kinds: a name in params is the name of a module in one folder, imported only when something names it."""

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from pipeline_lib.core.errors import ParamsError

S = TypeVar("S", bound=BaseModel)


def kind_names(package: str) -> list[str]:
    """The kinds of a folder such as "networks.backbones": its modules, sorted; folders (shared/) are none."""
    found = import_module(f"pipeline_lib.{package}")
    return sorted(module.name for module in iter_modules(found.__path__) if not module.ispkg)


def load_kind(package: str, kind: str, where: object) -> ModuleType:
    """Import the module of a kind, and no other one of its folder.

    Args:
        package: the folder below pipeline_lib, dotted.
        kind: the module's name.
        where: file and key that name it, for the message.

    Raises:
        ParamsError: the folder has no such module.
    """
    name = f"pipeline_lib.{package}.{kind}"
    if not kind.isidentifier() or find_spec(name) is None or kind not in kind_names(package):
        raise ParamsError("There is no such kind.", got=kind, allowed=", ".join(kind_names(package)), where=where)
    return import_module(name)


def checked(model: type[S], values: object, where: object) -> S:
    """`values` as `model`.

    Raises:
        ParamsError: a key is unknown or missing, or a value is out of range; names every such key below `where`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc'])) or '(all of it)'}: {item['msg']}" for item in error.errors()]
        raise ParamsError("A parameter is wrong:\n  " + "\n  ".join(problems), where=where) from None


def kind_settings(package: str, kind: str, values: Mapping[str, Any], where: object) -> tuple[ModuleType, Any]:
    """A kind's module, and `values` checked by its pydantic class `Settings`.

    Raises:
        ParamsError: see load_kind, checked.
    """
    module = load_kind(package, kind, where)
    return module, checked(module.Settings, values, where)
