"""Margin heads by the names that params give them."""

from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.networks.heads.shared.settings import HEADS, HeadSettings, head_settings
from pipeline_lib.params.networks import Head

KINDS = [kind for kind in kind_names(HEADS) if issubclass(load_kind(HEADS, kind, "here").Settings, HeadSettings)]


def settings(kind: str, scale: float, margin: float, **own: object) -> HeadSettings:
    """As params give them."""
    found = head_settings(Head(kind=kind, scale=scale, margin=margin, **own), "params.yaml, head")
    assert isinstance(found, HeadSettings)
    return found
