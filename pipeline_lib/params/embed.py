"""Section `embed`: how images become vectors."""

from pipeline_lib.params.section import Section


class Embed(Section):
    """`mirror` adds the mirrored image's features. `patches`: networks whose patch features the images of pairs keep, too, which
    pair scores of kind emd read.
    """

    mirror: bool
    patches: list[str] = []
