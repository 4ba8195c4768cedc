"""Section `rerank`: identification in two stages."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline_lib.params.section import NONE, OpenSection, Positive, Share


class Rerank(OpenSection):
    """One entry: stage 1 by cosine, stage 2 by alpha * comparison + (1 - alpha) * cosine on the first `top_k`.

    `kind` names a module of matching/rerankers, which compares, and checks the other keys; `with` is what it reads below data/,
    or none. `queries`: the occluded images, or every gallery image for its own person's others. `centred`: cosines after the
    mean of the other splits' images is taken off. `top_k` null: the whole gallery is compared; with alpha 1 that is the
    comparison in stage 1's place (thesis, Table 5.3). `index`: stage 1 looks at all of the gallery (exact), or, where that is
    large, at a part of it (hnsw, ivf; matching/retrieval/approximate.py); metrics.json says how much of the exact answer
    it finds.
    """

    kind: str
    network: str
    with_: Annotated[str, Field(alias="with")] = NONE
    queries: Literal["occluded", "gallery"]
    centred: bool
    index: Literal["exact", "hnsw", "ivf"]
    top_k: Positive | None
    alpha: Share

    @model_validator(mode="after")
    def _whole_galleries_are_searched_exactly(self) -> "Rerank":
        if self.top_k is None and self.index != "exact":
            raise ValueError(
                f"index {self.index} finds a part of the gallery, and top_k null compares all: index: exact"
            )
        return self
