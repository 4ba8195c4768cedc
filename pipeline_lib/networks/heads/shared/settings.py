"""The settings that every objective and every margin head has, and their reading from params."""

import math
from typing import Annotated

from pydantic import Field

from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.params.networks import Head
from pipeline_lib.params.section import Section

HEADS = "networks.heads"

Scale = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
Angle = Annotated[float, Field(ge=0.0, le=math.pi)]  # in radians
Cosine = Annotated[float, Field(ge=0.0, le=2.0)]  # in cosine, whose whole range is 2


class ObjectiveSettings(Section):
    """What is trained for: `kind` is a module of networks/heads, whose `Settings` adds its own keys."""

    kind: str


class HeadSettings(ObjectiveSettings):
    """A margin head; its kind narrows the margin.

    Attributes:
        scale: s.
        margin: m, in radians or in cosine as the kind says.
    """

    scale: Scale
    margin: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


def head_settings(section: Head, where: object) -> ObjectiveSettings:
    """The settings of a head in params, whose kind may be an objective without classes.

    Args:
        section: the `head` of a network.
        where: file and key of it, for messages.

    Raises:
        ParamsError: there is no such kind, or a setting is unknown, missing or out of range; names it.
    """
    settings: ObjectiveSettings = kind_settings(HEADS, section.kind, {**section.own, "kind": section.kind}, where)[1]
    return settings
