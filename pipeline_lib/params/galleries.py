"""Section `galleries`: networks that queries are identified with."""

from typing import Literal

from pipeline_lib.params.section import Section


class Gallery(Section):
    """One entry, by a network's name: its gallery and its queries are embedded, with patch features.

    `of`: the table that defines the network.
    """

    of: Literal["networks", "networks_over"]
