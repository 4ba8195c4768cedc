"""What every section of params.yaml is made of."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
AboveZero = Annotated[float, Field(gt=0.0)]
# The name of an entry becomes that of a stage, a folder and a column: DVC allows no other punctuation in it.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]

# DVC knows no dependency that may be absent, so "no file" is a file, too: data/none.
NONE = "none"
NO_FILE = f"data/{NONE}"


class Section(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OpenSection(Section):
    """A section that names a kind, whose module checks the keys that are not here (core.kinds)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    @property
    def own(self) -> dict[str, Any]:
        """The kind's keys."""
        return dict(self.model_extra or {})
