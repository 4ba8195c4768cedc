"""Section `scores`: the columns that pairs are scored in."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.params.section import NONE, OpenSection


class Score(OpenSection):
    """One entry: `kind` names a module of matching/scores, which checks the other keys.

    `of` is the folder below data/ that it scores (align, embed, embed/<network>, region_embeddings), `with` what else it
    reads there (anchors/<name>, region_weights/<name>, networks_over/<name>), or none.
    """

    kind: str
    of: str
    with_: Annotated[str, Field(alias="with")] = NONE
