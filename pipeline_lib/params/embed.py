"""Section `embed`: how images become vectors."""

from pipeline_lib.params.section import Section


class Embed(Section):
    """`mirror` adds the mirrored image's features."""

    mirror: bool
