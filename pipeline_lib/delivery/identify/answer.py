"""One search from photograph to answer."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.photo import PhotoError
from pipeline_lib.delivery.identify.cache import cache_file
from pipeline_lib.delivery.identify.embedded import embed_gallery
from pipeline_lib.delivery.identify.gallery import Unusable, list_gallery
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.identify.search import best_of_each, can_rerank, flow_pictures, reranks, search
from pipeline_lib.delivery.identify.threshold import Limit, limit, stranger_share
from pipeline_lib.delivery.verifier.pictures_in import read_picture
from pipeline_lib.delivery.verifier.verifier import in_words

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """What a search is asked for: how many people to tell, the FPIR, whether to re-rank (None: see search.reranks), pictures."""

    top: int = 5
    fpir: float = 0.01
    rerank: bool | None = None
    pictures: bool = False


@dataclass(frozen=True)
class Candidate:
    """A person of the gallery, by the photograph that comes first.

    Attributes:
        rank: from 1.
        name: the person's.
        photograph: its path in the gallery.
        similarity: the model's score.
        above: whether that is above the threshold.
        probability: by the calibration, as if this were the only photograph and either answer as likely beforehand.
        stranger_share: how often somebody who is not in the gallery scores as high with anybody in it, at most.
        reranked: what stage 2 ordered it by; None where it did not.
    """

    rank: int
    name: str
    photograph: str
    similarity: float
    above: bool
    probability: float
    stranger_share: float
    reranked: float | None


@dataclass(frozen=True)
class Pictures:
    """Aligned faces, uint8 (112, 112, 3): the query's, and each candidate's with its flow, which may be missing."""

    query: Image
    faces: Sequence[Image]
    flows: Sequence[Image | None]


@dataclass(frozen=True)
class Identification:
    """A search's answer.

    Attributes:
        photograph, gallery: as they were named.
        model, score, is_cosine, note: as of a verdict (verdict.words.Verdict).
        limit: see there.
        basis: what the threshold was counted on, in words.
        typical: what half of the pairs of two people score at least; where the bars begin.
        num_photographs, num_people: usable ones.
        candidates: the best first.
        reranked: whether stage 2 was taken.
        unusable, left_out: see embedded.Gallery.
        pictures: where they were asked for.
    """

    photograph: str
    gallery: str
    model: str
    score: str
    is_cosine: bool
    note: str
    limit: Limit
    basis: str
    typical: float
    num_photographs: int
    num_people: int
    candidates: Sequence[Candidate]
    reranked: bool
    unusable: Sequence[Unusable]
    left_out: Mapping[str, int]
    pictures: Pictures | None

    @property
    def name(self) -> str | None:
        """Who it is: the first candidate, if above the threshold; None for nobody in the gallery."""
        return self.candidates[0].name if self.candidates[0].above else None

    def as_json(self) -> dict[str, Any]:
        """All of it but the pictures."""
        fields = {key: value for key, value in vars(self).items() if key not in ("pictures", "limit", "typical")}
        lists = {key: [asdict(one) for one in fields[key]] for key in ("candidates", "unusable")}
        return {"name": self.name, **fields, **asdict(self.limit), **lists, "left_out": dict(self.left_out)}


def identify_photograph(
    opened: Opened, photograph: Path, folder: Path, cache: Path | None, asked: Asked, num_workers: int
) -> Identification:
    """Look for the person of a photograph among those of a folder.

    Args:
        opened: the verifier.
        photograph: a file with one face.
        folder: see gallery.list_gallery.
        cache: see cache.cache_file.
        asked: see there; 0 < fpir < 1, top >= 1.
        num_workers: see embed_gallery.

    Raises:
        DataError: the photograph has no usable face, the gallery has none or does not exist, or see limit, embed_gallery, search.
        ParamsError: see search.reranks.
    """
    try:
        image = opened.verifier.aligned(read_picture(photograph, opened.verifier.settings.max_pixels))
    except (PhotoError, FaceReject) as error:
        raise DataError("There is nobody to look for.", got=in_words(error), where=photograph) from error
    return identify_face(opened, image, printable(photograph), folder, cache, asked, num_workers)


def identify_face(
    opened: Opened, image: Image, photograph: str, folder: Path, cache: Path | None, asked: Asked, num_workers: int
) -> Identification:
    """identify_photograph of an aligned face; `photograph`: what it is called.

    Args:
        image: uint8 (112, 112, 3).
    """
    verifier = opened.verifier
    rerank = reranks(asked.rerank, verifier)
    impostors = verifier.impostors
    limit(impostors, asked.fpir, 1)  # refuses a model without impostors before a gallery is embedded for it
    assert impostors is not None
    listing, file = list_gallery(folder), cache_file(cache, folder, opened.digest)
    gallery = embed_gallery(listing, folder, opened, file, num_workers)
    query = verifier.encoder.encode(image[None])
    found = best_of_each(search(verifier, query, image, gallery, rerank), gallery.names, asked.top)
    num = len(gallery.keys)
    line = limit(impostors, asked.fpir, num)
    pictures = None
    if asked.pictures:
        faces = gallery.images([one.row for one in found])
        flows = flow_pictures(verifier, image, faces) if can_rerank(verifier) else [None] * len(faces)
        pictures = Pictures(image, list(faces), flows)
    candidates = [
        Candidate(
            rank=rank,
            name=gallery.names[one.row],
            photograph=gallery.keys[one.row],
            similarity=one.score,
            above=one.score > line.threshold,
            probability=float(verifier.calibration.probability(one.score)),
            stranger_share=stranger_share(impostors, one.score, num),
            reranked=one.reranked,
        )
        for rank, one in enumerate(found, start=1)
    ]
    return Identification(
        photograph=photograph,
        gallery=printable(folder),
        model=opened.name,
        score=verifier.settings.score,
        is_cosine=verifier.scorer.is_cosine,
        note=opened.note,
        limit=line,
        basis=f"counted on {impostors.num_pairs:,} pairs of {impostors.num_people:,} people",
        typical=float(impostors.thresholds[-1]),
        num_photographs=num,
        num_people=len(set(gallery.names)),
        candidates=candidates,
        reranked=rerank,
        unusable=gallery.unusable,
        left_out=gallery.left_out,
        pictures=pictures,
    )
