"""No head: the head of a network that is not trained (epochs 0), whose weights are imported. There is nothing to build."""

from typing import Literal

from pipeline_lib.params.section import Section


class Settings(Section):
    """No settings."""

    kind: Literal["none"] = "none"
