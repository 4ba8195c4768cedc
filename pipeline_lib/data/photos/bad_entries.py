"""Directory entries that a run cannot live with: DVC ends in a traceback at them when it hashes the photographs' folder."""

import os
from pathlib import Path

from pipeline_lib.core.errors import DataError

MAX_NAMED = 20


def check_entries(root: Path) -> None:
    """Look at every entry below `root`, opening none, and refuse those that cannot be read or written down.

    They are names that are no UTF-8, links that lead nowhere or in a circle, pipes and devices, and what may not be read.
    Linked folders are not followed, as DVC does not follow them.

    Raises:
        DataError: names them, the first MAX_NAMED of many.
    """
    bad: list[str] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    if problem := _problem(entry):
                        bad.append(f"{printable(entry.path)} ({problem})")
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
        except OSError as error:
            bad.append(f"{printable(folder)} ({error.strerror})")
    if bad:
        more = f"\n    and {len(bad) - MAX_NAMED} more" if len(bad) > MAX_NAMED else ""
        raise DataError(
            "Entries of the photographs' folder cannot be read; rename, mend or remove them.",
            got=f"{len(bad)} of them\n    " + "\n    ".join(sorted(bad)[:MAX_NAMED]) + more,
            where=root,
        )


def printable(path: object) -> str:
    """A path as a text that can be printed and stored; bytes that are no UTF-8 as \\udcXX."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _problem(entry: "os.DirEntry[str]") -> str | None:
    if printable(entry.name) != entry.name:
        return "its name is no UTF-8"
    try:
        if entry.is_dir():
            return None
        if not entry.is_file():
            return "a link that leads nowhere" if entry.is_symlink() else "no regular file"
    except OSError as error:
        return f"a link: {error.strerror}" if entry.is_symlink() else str(error.strerror)
    return None if os.access(entry.path, os.R_OK) else "it may not be read"
