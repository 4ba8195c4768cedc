"""Section `rerank`: identification in two stages."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import NONE, OpenSection, Positive, Share


class Rerank(OpenSection):
    """One entry: stage 1 by cosine, stage 2 by alpha * comparison + (1 - alpha) * cosine on the first `top_k`.

    `kind` names a module of matching/rerankers, which compares, and checks the other keys; `with` is what it reads below data/,
    or none. `queries`: the occluded images, or every gallery image for its own person's others. `centred`: cosines after the
    mean of the other splits' images is taken off. `top_k` null: the whole gallery is compared; with alpha 1 that is the
    comparison in stage 1's place (thesis, Table 5.3).
    """

    kind: str
    network: str
    with_: Annotated[str, Field(alias="with")] = NONE
    queries: Literal["occluded", "gallery"]
    centred: bool
    top_k: Positive | None
    alpha: Share
