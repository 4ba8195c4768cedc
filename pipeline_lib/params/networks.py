"""Sections `networks` and `networks_over`: what is trained, or imported."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.params.section import NO_FILE, NONE, AboveZero, NonNegative, OpenSection, Positive, Section

DISTILLATION = "distillation"  # the kind of networks/heads that learns from a teacher, not from labels


class Head(OpenSection):
    """A margin head: `kind` names a module of networks/heads, which checks its settings; none where nothing is trained."""

    kind: str


class Patches(Section):
    """What makes any network an RRFNet: it sees square patches of the face, and the embedding is the mean of theirs.

    `layout` names the patches' places (data.patches.grid). In training a random `mask_share` of each sample's patches is left
    out of the mean (`drop`) or blanked (`zero`).
    """

    side_px: Literal[28, 56]
    layout: Literal["corners4", "cross4", "corners5", "cross5", "all9", "no_corners33", "all49"]
    mask_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    mask_mode: Literal["drop", "zero"] = "drop"


class Trained(OpenSection):
    """What is trained for `epochs` with a margin `head`; `epochs` 0, and head none, train nothing."""

    epochs: NonNegative
    head: Head


class Network(Trained):
    """A network and its training: `arch` names a module of networks/backbones, which checks its shape's keys.

    `patches`: see there. `checkpoint`: published weights to start from, data/none for weights drawn from train.seed. `teacher`:
    of `teachers`, whose embeddings a head of kind distillation learns to give; none for one that learns from labels. In
    `networks` the key must be there, since the stage's dependency is named by it.
    """

    arch: str
    checkpoint: str
    teacher: str = NONE
    patches: Patches | None = None

    @model_validator(mode="after")
    def _training_needs_a_head(self) -> Self:
        if (self.epochs > 0) == (self.head.kind == NONE):
            raise ValueError(f"epochs {self.epochs} and head {self.head.kind}: a head (not none) is for epochs above 0")
        return self

    @model_validator(mode="after")
    def _a_teacher_is_for_distillation(self) -> Self:
        if (self.head.kind == DISTILLATION) != (self.teacher != NONE):
            raise ValueError(
                f"teacher {self.teacher} and head {self.head.kind}: head {DISTILLATION} is for a teacher's embeddings"
            )
        return self

    @property
    def checkpoint_file(self) -> Path | None:
        """`checkpoint`, None for none."""
        return None if self.checkpoint == NO_FILE else Path(self.checkpoint)


class NetworkOver(Trained):
    """A network over frozen ones (`over` names them): `kind` names a module of networks/over, which checks its keys.

    `learning_rate`, `use_occluded`, `decay_epochs`: in place of those of section `train`; null: those. `cache_maps`: what the
    frozen networks see of every training image and its mirror image is computed once and kept on disk until the training ends;
    images are then not shifted. Whether it learns with a head, or from a loss of its own alone, its kind knows
    (over.shared.settings).
    """

    kind: str
    over: Annotated[list[str], Field(min_length=1)]
    learning_rate: AboveZero | None = None
    use_occluded: bool | None = None
    decay_epochs: list[Positive] | None = None
    cache_maps: bool = False

    @model_validator(mode="after")
    def _every_decay_comes_to_pass(self) -> Self:
        found = self.decay_epochs
        if found is not None and (found != sorted(set(found)) or found[-1] >= self.epochs):
            raise ValueError(
                f"decay_epochs {found} of {self.epochs} epochs: they must rise and end before the last epoch"
            )
        return self
