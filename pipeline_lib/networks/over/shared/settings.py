"""What a network over frozen ones is, as plain values."""

from typing import Annotated, ClassVar

from pydantic import Field

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.core.kinds import kind_settings
from pipeline_lib.networks.backbones.shared.build import OVER
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.params.networks import NetworkOver
from pipeline_lib.params.section import NONE


class OverSettings(NetworkSpec):
    """The spec of a network over frozen ones; a kind's `Settings` adds its own keys.

    Attributes:
        arch: the kind, a module of networks/over.
        over: the names of the networks it stands on.
        patches: none, it sees whole faces.
        learns_alone: whether its own loss is all that it learns from; then it has head none.
    """

    PACKAGE: ClassVar[str] = OVER

    over: Annotated[tuple[str, ...], Field(min_length=1)]
    patches: None = None

    @property
    def learns_alone(self) -> bool:
        """See OverSettings."""
        return False


def over_settings(section: NetworkOver, where: object) -> OverSettings:
    """The settings of an entry of `networks_over`.

    Raises:
        ParamsError: there is no such kind, a key is unknown, missing or not possible, or there is a head where nothing needs
            one, or none where something does; names it.
    """
    reserved = sorted({"arch", "input_px", "patches"} & set(section.own))
    if reserved:
        raise ParamsError("A network over others has no such key.", got=reserved, where=where)
    values = {**section.own, "arch": section.kind, "over": section.over}
    settings: OverSettings = kind_settings(OVER, section.kind, values, where)[1]
    needs_head = section.epochs > 0 and not settings.learns_alone
    if needs_head == (section.head.kind == NONE):
        raise ParamsError(
            "A head is for a network that learns with one.",
            got=f"epochs {section.epochs} and head {section.head.kind}",
            allowed="a head that is not none" if needs_head else "head none",
            where=f"{where}.head",
        )
    return settings
