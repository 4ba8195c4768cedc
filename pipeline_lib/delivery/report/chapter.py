"""What a chapter of the report is, and which there are for a rebuild."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.params.whole import Params

PACKAGE = "delivery.report.chapters"

T = TypeVar("T")


@dataclass(frozen=True)
class Provenance:
    """What was run on what: groups of (name, value) lines, and the latest run of each stage."""

    groups: Mapping[str, Sequence[tuple[str, str]]]
    runs: Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class About:
    """What a chapter may need that does not lie below data/: params.yaml, parsed and as text, and where all came from."""

    params: Params
    params_text: str
    provenance: Provenance


class Chapter(Protocol):
    """A module of chapters/; its template is templates/chapters/<name>.html.j2, its anchor `#<name>`. It may also have
    beside(found, about), files that lie beside the page: name -> text.

    Attributes:
        ORDER: place in the page, low first.
        TITLE: heading, and the word in the navigation.
        NEEDS: files and folders below data/ without which there is nothing to show.
    """

    ORDER: int
    TITLE: str
    NEEDS: tuple[str, ...]

    def read(self, data: Path) -> Any:
        """What the chapter shows, an object of its own; None where its files hold nothing to show.

        Raises:
            DataError: NEEDS are there, and another of its files is missing or damaged; names it.
        """

    def show(self, found: Any, about: About) -> dict[str, object]:
        """The template's values, from what read() found."""


def chapters_of(data: Path) -> dict[str, Chapter]:
    """The chapters whose NEEDS lie below `data`, by name, in the order of the page."""
    modules = {name: cast(Chapter, load_kind(PACKAGE, name, where="the report")) for name in kind_names(PACKAGE)}
    chosen = sorted(modules, key=lambda name: (modules[name].ORDER, name))
    return {name: modules[name] for name in chosen if all(_is_there(data / need) for need in modules[name].NEEDS)}


def subfolders(folder: Path) -> list[Path]:
    """The folders in `folder`, sorted: a stage group's entries. None where it is absent."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def of_params(found: Mapping[str, T], named: Iterable[str]) -> dict[str, T]:
    """What params name, in their order: other folders below data/ were left by earlier rebuilds."""
    return {name: found[name] for name in named if name in found}


def _is_there(path: Path) -> bool:
    """Whether it is a file that is not empty, or a folder with more than dot files (git keeps some folders by those)."""
    if path.is_dir():
        return any(not inner.name.startswith(".") for inner in path.iterdir())
    return path.is_file() and path.stat().st_size > 0
