"""What every kind of anchors has in params, and its reading."""

from pathlib import Path
from types import ModuleType
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.params.anchors import Anchors
from pipeline_lib.params.section import NO_FILE, Section

KINDS = "matching.anchors"


class AnchorSettings(Section):
    """`from` of an entry of `anchors`; a kind's `Settings` adds its own keys."""

    from_: Annotated[str, Field(alias="from")]


class FromNothing(AnchorSettings):
    """Of a kind whose anchors come from the rebuild itself."""

    @model_validator(mode="after")
    def _is_none(self) -> Self:
        if self.from_ != NO_FILE:
            raise ValueError(f"from is {self.from_}; this kind reads no file: {NO_FILE}")
        return self


class FromPath(AnchorSettings):
    """Of a kind whose anchors come from a file or folder."""

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.from_ == NO_FILE:
            raise ValueError("from is missing: the file or folder that the anchors are made of")
        return self

    @property
    def path(self) -> Path:
        """`from`."""
        return Path(self.from_)


def anchor_kind(entry: Anchors, where: object) -> tuple[ModuleType, AnchorSettings]:
    """The module of an entry's kind, and its settings.

    A kind's module has `Settings`, `OF_TRAINING` (whether its anchors are people of the train split), and `find(settings,
    inputs) -> Found`.

    Args:
        entry: of params.anchors.
        where: file and key, for messages.

    Raises:
        ParamsError: there is no such kind, or a key is unknown, missing or out of range.
    """
    return kind_settings(KINDS, entry.kind, {**entry.own, "from": entry.from_}, where)
