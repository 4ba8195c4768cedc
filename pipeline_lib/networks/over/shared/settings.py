"""What a network over frozen ones is, as plain values."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.networks.backbones.shared.build import OVER
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.networks import NetworkOver


class OverSettings(NetworkSpec):
    """The spec of a network over frozen ones; a kind's `Settings` adds its own keys.

    Attributes:
        arch: the kind, a module of networks/over.
        over: the names of the networks it stands on.
        patches: none, it sees whole faces.
    """

    PACKAGE: ClassVar[str] = OVER

    over: Annotated[tuple[str, ...], Field(min_length=1)]
    patches: None = None


def over_settings(section: NetworkOver, where: object) -> OverSettings:
    """The settings of an entry of `networks_over`.

    Raises:
        ParamsError: there is no such kind, or a key is unknown, missing or not possible; names it.
    """
    reserved = sorted({"arch", "input_px", "patches"} & set(section.own))
    if reserved:
        raise ParamsError("A network over others has no such key.", got=reserved, where=where)
    values = {**section.own, "arch": section.kind, "over": section.over}
    settings: OverSettings = kind_settings(OVER, section.kind, values, where)[1]
    return settings
