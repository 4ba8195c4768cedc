"""Sections `ingest` and `synthetic`: where photographs come from."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import Positive, Section, Share


class Source(Section):
    """One photograph source. `path` is relative to ingest.root. `split`: by_identity draws the splits, else all go to one."""

    kind: str
    path: str
    split: Literal["by_identity", "train", "val", "test"]


class Ingest(Section):
    """From sources to one manifest and its pairs. The max_* keys cut a run down; null takes all."""

    root: str
    sources: Annotated[list[Source], Field(min_length=1)]
    val_share: Share
    test_share: Share
    pairs_per_fold: Annotated[int, Field(ge=2, multiple_of=2)]
    num_folds: Annotated[int, Field(ge=2)]
    max_identities: Positive | None
    max_folds: Annotated[int, Field(ge=2)] | None
    max_pixels: Positive
    max_reject_share: Share
    seed: int


class Synthetic(Section):
    """The procedural renderer of the demo."""

    num_identities: Positive
    images_per_identity: Positive
    size_px: Annotated[int, Field(ge=96)]
    two_faces_share: Share
    no_face_share: Share
    seed: int
