"""The files of a source, which lie in a folder of this machine or below a URL."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from pipeline_lib.core.urls import last_name, list_urls, opened
from pipeline_lib.data.photos.folder import visible

File = Path | str  # a URL is a text


def find(place: File, suffix: str) -> list[File]:
    """The files below a folder, at any depth, whose names end in `suffix`, sorted; or the one that `place` is."""
    if isinstance(place, str):
        return list[File](list_urls(place, suffix))
    return [place] if place.is_file() else list[File](visible(place, f"**/*{suffix}"))


def open_file(file: File) -> AbstractContextManager[IO[bytes]]:
    """A file to be read; raises OSError, or of a URL DataError."""
    return opened(file) if isinstance(file, str) else file.open("rb")


def called(place: File, suffix: str) -> str:
    """What a collection is called: as its folder, or as its one file without the suffix."""
    name = last_name(place) if isinstance(place, str) else place.name or place.resolve().name
    return name.removesuffix(suffix)


def below(file: File, place: File, suffix: str) -> list[str]:
    """What tells a file of a collection from its others: nothing where it is the only one, else its place without the suffix."""
    if file == place:
        return []
    inside = (
        file.removeprefix(str(place).rstrip("/") + "/") if isinstance(file, str) else file.relative_to(place).as_posix()
    )
    return [inside.removesuffix(suffix)]
