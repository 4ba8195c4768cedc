"""People by name: one person of several sources, whether or not a source writes accents, and never two people as one."""

import logging
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.sources.shared.records import SourceFaces

MAX_NAMED = 20
log = logging.getLogger("face_verifier")


def normalise_name(name: str) -> str:
    """The identity of a name as a source writes it: lower case, words of letters, marks and digits joined by "_".

    Marks are parts of letters: a Devanagari or Thai vowel sign, a kana's dakuten, an accent.
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", printable(name)).casefold())
    return "_".join("".join(char if _is_letter(char) else " " for char in folded).split())


def without_accents(identity: str) -> str:
    """An identity as a source without accents writes it: marks off Latin letters, whose writers leave them out; off no others."""
    plain, is_latin = [], False
    for char in unicodedata.normalize("NFKD", identity):
        if not unicodedata.category(char).startswith("M"):
            is_latin = unicodedata.name(char, "").startswith("LATIN")
        elif is_latin:
            continue
        plain.append(char)
    return unicodedata.normalize("NFC", "".join(plain))


def join_names(sources: Sequence[SourceFaces]) -> list[SourceFaces]:
    """The same sources, each person under one identity in all of them.

    Names that differ in accents only are one person, called by the name without them: García of one source is Garcia of
    another. Where one source has both (Müller and Muller are two people there), every source's keep the names they have.
    A log line names either case.

    Raises:
        DataError: an identity is empty.
    """
    spellings: dict[str, set[str]] = {}
    apart: set[str] = set()
    for faces in sources:
        plain_names: dict[str, str] = {}
        for name in sorted(faces.photos.unique("identity") | faces.all_names):
            plain = without_accents(name)
            if not plain:
                raise DataError("An identity has no name.", got="an empty text", allowed="a letter or digit")
            spellings.setdefault(plain, set()).add(name)
            if plain_names.setdefault(plain, name) != name:
                apart.add(plain)
    identity_of = {
        name: plain for plain, names in spellings.items() if plain not in apart for name in names if name != plain
    }
    _say("%d names that differ in accents only are different people, as one source has both: %s", spellings, apart)
    joined = {plain for plain, names in spellings.items() if len(names) > 1} - apart
    _say("%d people are written with accents in one source and without in another, taken as one: %s", spellings, joined)
    return [_renamed(faces, identity_of) for faces in sources]


def _renamed(faces: SourceFaces, identity_of: Mapping[str, str]) -> SourceFaces:
    photos = faces.photos.replaced("identity", identity_of) if identity_of else faces.photos
    return replace(faces, photos=photos, all_names=frozenset(identity_of.get(name, name) for name in faces.all_names))


def _say(message: str, spellings: Mapping[str, set[str]], plain_names: set[str]) -> None:
    if not plain_names:
        return
    named = ["/".join(sorted(spellings[plain])) for plain in sorted(plain_names)[:MAX_NAMED]]
    more = [f"and {len(plain_names) - MAX_NAMED} more"] if len(plain_names) > MAX_NAMED else []
    log.warning(message, len(plain_names), ", ".join(named + more))


def _is_letter(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char).startswith("M")
