"""What lies in a gallery folder: photographs, whose each is, and what cannot be used."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.folder import entries


@dataclass(frozen=True)
class Photograph:
    """A file that counts as a photograph by its name.

    `key`: its path in the gallery. `name`: the person's. `stamp`: size in bytes, and times of the last change of its content and
    of its entry in nanoseconds: with another stamp it is another photograph, also where one was moved over one of equal size.
    """

    key: str
    name: str
    stamp: tuple[int, int, int]


@dataclass(frozen=True)
class Unusable:
    """A photograph, or a folder, that cannot be used, and why: a reason of the rejects table, and the reason in words."""

    key: str
    reason: str
    detail: str


@dataclass
class Listing:
    """A gallery's photographs in order, what was refused unopened, and how many other files there are by suffix."""

    photographs: list[Photograph] = field(default_factory=list)
    unusable: list[Unusable] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def list_gallery(folder: Path) -> Listing:
    """List `folder`/<person>/<file>, `folder`/<person>/<group>/<file> and `folder`/<person>.<suffix>; nothing is opened.

    A file counts as a photograph by its name (data.photos.folder); what systems and programs put beside them is left out and
    counted. A folder that cannot be read, or lies deeper, and a name that is no UTF-8 are told as unusable: no entry stops the
    rest.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    if not folder.is_dir():
        what = "The gallery is no folder." if folder.exists() else "There is no such gallery."
        raise DataError(what, allowed="a folder of photographs, or of one folder a person", where=folder)
    found = Listing()
    try:
        people, loose = entries(folder, found.left_out)
    except OSError as error:
        raise DataError("The gallery cannot be read.", got=error.strerror, where=folder) from error
    for path in loose:
        _add(found, folder, path, path.stem)
    for person in people:
        groups, files = _entries(found, folder, person)
        for group in groups:
            deeper, more = _entries(found, folder, group)
            files += more
            found.unusable += [_unusable(folder, path, "a folder that lies too deep") for path in deeper]
        for path in files:
            _add(found, folder, path, person.name)
    found.photographs.sort(key=lambda photograph: photograph.key)
    return found


def _entries(found: Listing, root: Path, folder: Path) -> tuple[list[Path], list[Path]]:
    try:
        return entries(folder, found.left_out)
    except OSError as error:
        found.unusable.append(_unusable(root, folder, f"the operating system says: {error.strerror or error}"))
        return [], []


def _add(found: Listing, root: Path, path: Path, name: str) -> None:
    if printable(path) != str(path):
        found.unusable.append(_unusable(root, path, "its name is no UTF-8; rename it", "bad_name"))
        return
    try:
        about = path.stat()
    except OSError as error:
        found.unusable.append(_unusable(root, path, f"the operating system says: {error.strerror or error}"))
        return
    stamp = (about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    found.photographs.append(Photograph(str(path.relative_to(root)), name, stamp))


def _unusable(root: Path, path: Path, detail: str, reason: str = "unreadable") -> Unusable:
    return Unusable(printable(path.relative_to(root)), reason, detail)
