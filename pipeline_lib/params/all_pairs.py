"""Section `all_pairs`: every face of a split against every other one, for false accept rates that drawn pairs cannot tell."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import NONE, Positive, Section


class AllPairs(Section):
    """One entry: the cosine of a network, and with anchors DAM-R and DAM-L.

    `of`: embed/<network>; `with`: anchors/<name> of that network, or none. `split`: whose aligned images are compared.
    `max_faces`: at most so many, drawn by `seed`; the pairs grow with its square: 10,000 have 50 million.
    """

    of: Annotated[str, Field(pattern="^embed/[^/]+$")]
    with_: Annotated[str, Field(alias="with", pattern=f"^(anchors/[^/]+|{NONE})$")]
    split: Literal["val", "test"]
    max_faces: Positive
    false_accept_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    seed: int
