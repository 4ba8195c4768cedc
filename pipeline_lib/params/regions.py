"""Section `regions`: one network a region of the face (RRFNet, Approach A)."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.params.networks import Network
from pipeline_lib.params.section import AboveZero, Name, NonNegative, Positive, Section

REGION_NAME = re.compile(r"p(?P<size>28|56)_x(?P<x>\d+)_y(?P<y>\d+)")


class Alone(Section):
    """A position that is trained by a stage of its own; it has no settings."""


class RegionWeights(Section):
    """Logistic regression on pairs; strengths are C, the inverse L2 weight, chosen by cross-validation.

    `fit_on`: pairs of training people (RRFNet), whom the networks remember, or of validation people. `non_negative`: whether
    weights may be below 0. Of several the one is taken that verifies validation people best (matching.regions.variants).
    `num_bootstrap` resamples of the identities give the weights' standard errors and intervals; two are the fewest with a spread.
    """

    num_pairs: Positive
    num_cross_validation_folds: Annotated[int, Field(ge=2)]
    strengths: Annotated[list[AboveZero], Field(min_length=1)]
    num_bootstrap: Annotated[int, Field(ge=2)]
    seed: int
    fit_on: Annotated[list[Literal["train", "val"]], Field(min_length=1)]
    non_negative: Annotated[list[bool], Field(min_length=1)]

    @property
    def chooses(self) -> bool:
        """Whether there are several ways to fit."""
        return len(self.fit_on) * len(self.non_negative) > 1

    @model_validator(mode="after")
    def _validation_people_are_told_apart(self) -> "RegionWeights":
        if len(set(self.fit_on)) < len(self.fit_on) or len(set(self.non_negative)) < len(self.non_negative):
            raise ValueError("fit_on or non_negative names something twice")
        if "val" in self.fit_on and self.num_cross_validation_folds < 3:
            raise ValueError(
                "fit_on val needs num_cross_validation_folds of 3 or more: pairs across two are judged by the rest"
            )
        return self


class Regions(Section):
    """Region networks: one for every unique position `p<size>_x<column>_y<row>`.

    Each of `alone` is trained by a stage of its own, from patch shards that stage shard_patches cuts: many GPUs. Those of a
    group are trained together by one stage, which decodes each face once for all of them: few cores, or one GPU. The weights
    are the same up to rounding. `weights`: fits of how much each counts. All may be empty; but since shard_patches reads the
    whole of `alone`, DVC asks for it and for margin_px in params.yaml all the same (check).
    """

    network: Network | None = None
    margin_px: NonNegative = 5
    alone: dict[str, Alone] = {}
    groups: dict[Name, Annotated[list[str], Field(min_length=1)]] = {}
    weights: dict[Name, RegionWeights] = {}

    @property
    def positions(self) -> list[str]:
        """`alone`, then the groups' in their order."""
        return [*self.alone, *(name for group in self.groups.values() for name in group)]

    @property
    def folders(self) -> dict[str, str]:
        """Where each position's network lies below data/region_networks: the stage's folder, and in it the position's."""
        grouped = {name: f"{group}/{name}" for group, names in self.groups.items() for name in names}
        return {name: f"{name}/{name}" for name in self.alone} | grouped

    @model_validator(mode="after")
    def _positions_are_unique_ones(self) -> "Regions":
        names = self.positions
        for name in names:
            match = REGION_NAME.fullmatch(name)
            size, x, y = (int(match[part]) for part in ("size", "x", "y")) if match else (0, 0, 0)
            inside = y <= FACE_PX - size and 2 * x <= FACE_PX - size
            if not match or x % (size // 2) or y % (size // 2) or not inside:
                raise ValueError(
                    f"{name} is no unique patch position: p28_x{{0,14,28,42}}_y{{0..84}} or p56_x{{0,28}}_y{{0,28,56}}"
                )
        if len(set(names)) != len(names) or set(names) & set(self.groups):
            raise ValueError("a position stands twice, or names a group")
        if names and self.network is None:
            raise ValueError("positions need regions.network")
        if self.weights and not names:
            raise ValueError("regions.weights has no regions to weigh")
        return self
