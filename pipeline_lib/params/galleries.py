"""Section `galleries`: networks that occluded queries are identified with."""

from pipeline_lib.params.section import Section


class Gallery(Section):
    """One entry, by a network's name: its gallery and its queries are embedded, with patch features. No settings."""
