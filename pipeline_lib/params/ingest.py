"""Sections `ingest` and `synthetic`: where photographs come from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline_lib.params.section import Positive, Section, Share

Faces = Literal["detect", "landmarks", "aligned"]
DETECT: Faces = "detect"


class Source(Section):
    """One photograph source. `path` is relative to ingest.root, or a URL (s3, gs, http, file).

    `split`: by_identity draws the splits, else all go to one.

    `faces`: detect looks for them, landmarks aligns by those that the source states, aligned takes pictures of 112x112 px (or 96
    px wide) as they are. `licence` and `about`, free text for the data card: under which terms the photographs may be used, and
    where they are from.
    """

    kind: str
    path: str
    split: Literal["by_identity", "train", "val", "test"]
    faces: Faces = DETECT
    licence: str = ""
    about: str = ""


class DrawnTemplates(Section):
    """Two templates of each test person with `min_images` photographs or more, as a protocol `templates`.

    `max_impostors`: about how many pairs of two people it has; null takes all.
    """

    min_images: Annotated[int, Field(ge=2)] = 5
    max_impostors: Positive | None = None


class Ingest(Section):
    """From sources to one manifest and its pairs. The max_* keys cut a run down; null takes all. `templates`: null draws none."""

    root: str
    sources: Annotated[list[Source], Field(min_length=1)]
    val_share: Share
    test_share: Share
    pairs_per_fold: Annotated[int, Field(ge=2, multiple_of=2)]
    num_folds: Annotated[int, Field(ge=2)]
    max_identities: Annotated[int, Field(ge=2)] | None
    max_folds: Annotated[int, Field(ge=2)] | None
    max_pixels: Positive
    max_reject_share: Share
    seed: int
    templates: DrawnTemplates | None = None

    @model_validator(mode="after")
    def _shares_are_of_one_whole(self) -> Self:
        if self.val_share + self.test_share > 1:
            raise ValueError(f"val_share and test_share are {self.val_share + self.test_share:g}, together at most 1")
        return self


class Synthetic(Section):
    """The procedural renderer of the demo."""

    num_identities: Positive
    images_per_identity: Positive
    size_px: Annotated[int, Field(ge=96)]
    two_faces_share: Share
    no_face_share: Share
    seed: int

    @model_validator(mode="after")
    def _shares_are_of_one_whole(self) -> Self:
        share = self.two_faces_share + self.no_face_share
        if share > 1:
            raise ValueError(f"two_faces_share and no_face_share are {share:g}, together at most 1")
        return self
