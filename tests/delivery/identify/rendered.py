"""Galleries of rendered people, and a tiny verifier that knows how alike two people are."""

from pathlib import Path

import numpy as np
import pytest
from tiny_verifier import write_tiny

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.delivery.identify import embedded
from pipeline_lib.delivery.identify.answer import Asked, Identification, identify_photograph
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.verifier.verifier import Verifier


def photographs(num_people: int, num_each: int) -> list[list[bytes]]:
    """PNG photographs of people who do not exist."""
    rng = np.random.default_rng(5)
    people = [sample_identity(rng) for _ in range(num_people)]
    return [[encode_png(render_photo([person], rng, 200)[0]) for _ in range(num_each)] for person in people]


def opened(folder: Path, score: str = "cosine:iresnet") -> Opened:
    """A verifier with drawn weights."""
    return Opened(Verifier.load(write_tiny(folder, score)), "tiny", "", f"digest of {score}", None)


class Detected:
    """Aligns in this process, and counts the photographs that it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num = 0

        def map_here(function, batches, num_workers, crashed):
            for batch in batches:
                self.num += len(batch)
                yield function(batch)

        monkeypatch.setattr(embedded, "map_batches", map_here)


def search(model: Opened, photograph: Path, gallery: Path, **asked: object) -> Identification:
    """identify_photograph with a cache beside the gallery."""
    return identify_photograph(model, photograph, gallery, gallery.parent / "cache", Asked(**asked), 0)  # type: ignore[arg-type]
