"""The settings that every margin head has, and their reading from params."""

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


class HeadSettings(Section):
    """A head of kind `kind`, a module of networks/heads; its `Settings` narrows the margin and adds its own keys.

    Attributes:
        scale: s.
        margin: m, in radians or in cosine as the kind says.
    """

    kind: str
    scale: Scale
    margin: Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


def head_settings(section: Head, where: object) -> HeadSettings:
    """The settings of a head in params.

    Args:
        section: the `head` of a network.
        where: file and key of it, for messages.

    Raises:
        ParamsError: there is no such kind, or a setting is unknown, missing or out of range; names it.
    """
    settings: HeadSettings = kind_settings(HEADS, section.kind, {**section.own, "kind": section.kind}, where)[1]
    return settings
