"""What every source gives: photographs, its own pairs, and the names of everybody it knows."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline_lib.data.photos.place import Place
from pipeline_lib.params.ingest import DETECT, Faces


@dataclass(frozen=True, slots=True)  # there may be millions
class PhotoRecord:
    """One photograph of a source. `split`, `view` (frontal, profile) None: the source states none. `landmarks`: 10 px values
    x0 y0 .. x4 y4 or None. `box`: where the face is, x0 y0 x1 y1 px, or None. `attributes`: what else is said of it, by name, or
    None. `offset`, `length`: of its bytes in a file that holds many (photos.place); None for all of the file. `faces`: see
    params.ingest.Source.
    """

    image_id: str
    identity: str
    path: str  # pathlib's objects take 0.3 kB more
    split: str | None
    media: str
    landmarks: Sequence[float] | None = None
    view: str | None = None
    offset: int | None = None
    length: int | None = None
    faces: Faces = DETECT
    attributes: Mapping[str, str] | None = None
    box: Sequence[float] | None = None

    @property
    def place(self) -> Place:
        """Where its bytes lie."""
        return Place(Path(self.path), self.offset, self.length)

    @property
    def shown_place(self) -> str:
        """The same as a text."""
        return (
            self.path
            if self.offset is None
            else f"{self.path}, bytes {self.offset} to {self.offset + (self.length or 0)}"
        )


@dataclass(frozen=True, slots=True)
class PairRecord:
    """One verification pair of a source's own protocol, of two images or templates; `fold` counts from 0. `group`: as in
    schemas/pairs.py.
    """

    protocol: str
    fold: int
    image_a: str
    image_b: str
    genuine: bool
    group: str | None = None


@dataclass(frozen=True, slots=True)
class TemplateRecord:
    """One image of a template; `media` and `weight` as in schemas/templates.py."""

    template: str
    image_id: str
    media: str
    weight: float = 1.0


@dataclass(frozen=True)
class SourceFaces:
    """What a source holds; `all_names` are all identities it states, also those of whom no photograph is here. `templates`: of
    its pairs.
    """

    photos: list[PhotoRecord]
    pairs: list[PairRecord] = field(default_factory=list)
    all_names: frozenset[str] = frozenset()
    templates: list[TemplateRecord] = field(default_factory=list)


def make_image_id(*parts: str) -> str:
    """Join parts to a WebDataset key of [A-Za-z0-9_-]; other ASCII becomes "-", a part with other letters ends in a hash."""
    return "-".join(_key_part(part) for part in parts)


def _key_part(part: str) -> str:
    key = re.sub(r"[^A-Za-z0-9_-]", "-", part)
    # Without the hash "Jörg" and "Jürg", or any two names in Chinese, would be one key.
    return key if part.isascii() else f"{key}-{hashlib.sha256(part.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
