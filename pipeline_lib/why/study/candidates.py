"""The pairs a study may draw from: clean test pairs, and pairs of a clean test image and an occluded one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.progress import track
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.embeddings.store import EmbeddingSet
from pipeline_lib.schemas.occlusions import OCCLUSIONS as OCCLUSIONS_TABLE
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.study.design import Cell, Occlusion

# The thesis shows masks and sunglasses; of the kinds of data/occlude, crops are left out.
OCCLUSION_OF: dict[str, Occlusion] = {
    "mask_surgical": "mask",
    "mask_cloth": "mask",
    "mask_n95": "mask",
    "sunglasses": "sunglasses",
}
NUM_STRANGERS = (
    50  # that an occluded image meets: a good network takes few of them for its person, and a study needs some such
)

Floats = npt.NDArray[np.float32]
Row = tuple[str, str, str | None, Occlusion, bool]  # the first fields of a Candidate


@dataclass(frozen=True)
class Judge:
    """A network of the study.

    Attributes:
        embedder: around it.
        threshold: the cosine above which it takes two faces for one person.
        stored: what it made of the clean images of pairs (data/embed).
    """

    embedder: Embedder
    threshold: float
    stored: EmbeddingSet


@dataclass(frozen=True)
class Candidate:
    """A pair that a study may show.

    Attributes:
        clean: image id of one face, in data/align.
        other: image id of the other face.
        occluded: key of the other face in data/occlude; None where it is clean, too.
        occlusion: one of design.OCCLUSIONS.
        genuine: of one person.
        scores: the cosine of each network, by name.
        matches: its decision.
    """

    clean: str
    other: str
    occluded: str | None
    occlusion: Occlusion
    genuine: bool
    scores: Mapping[str, float]
    matches: Mapping[str, bool]

    @property
    def cell(self) -> Cell:
        """Its sort."""
        right = all(match == self.genuine for match in self.matches.values())
        return Cell(self.genuine, self.occlusion, right)

    @property
    def faces(self) -> frozenset[str]:
        """The keys of the two, by which they are read."""
        return frozenset((self.clean, self.occluded or self.other))

    @property
    def photographs(self) -> set[str]:
        """The image ids of the two."""
        return {self.clean, self.other}


def clean_candidates(data: Path, judges: Mapping[str, Judge]) -> list[Candidate]:
    """The pairs of all test protocols, each once.

    Args:
        data: a rebuild's data folder.
        judges: the networks by name, at least one.

    Raises:
        DataError: a file is missing or breaks its contract, or the networks did not embed the same images.
    """
    table = read_table(data / "ingest" / "pairs.parquet", PAIRS)
    table = table.filter(pc.not_equal(table["protocol"], VALIDATION))
    stored = _first(judges)
    embedded = {key for key, split in zip(stored.keys, stored.splits, strict=True) if split == "test"}
    columns = (table[name].to_pylist() for name in ("image_a", "image_b", "genuine"))
    pairs = sorted({row for row in zip(*columns, strict=True) if row[0] in embedded and row[1] in embedded})
    a, b = [row[0] for row in pairs], [row[1] for row in pairs]
    vectors = {name: (_stored(judge, a), _stored(judge, b)) for name, judge in judges.items()}
    rows: list[Row] = [(clean, other, None, "none", genuine) for clean, other, genuine in pairs]
    return _judged(rows, vectors, judges)


def occluded_candidates(
    data: Path, judges: Mapping[str, Judge], num_images: int, rng: np.random.Generator
) -> list[Candidate]:
    """Drawn occluded test images, each beside every other photograph of its person and beside NUM_STRANGERS of other people.

    Args:
        data, judges: see clean_candidates.
        num_images: how many images of each occlusion are drawn; all, where there are fewer.
        rng: of the draws.

    Raises:
        DataError: see clean_candidates.
    """
    images = ShardImages(data / "occlude")
    drawn = read_table(data / "occlude" / "occlusions.parquet", OCCLUSIONS_TABLE)
    kind_of = dict(zip(drawn["key"].to_pylist(), drawn["kind"].to_pylist(), strict=True))
    stored = _first(judges)
    is_test = np.array([split == "test" for split in stored.splits])
    people = np.array(list(stored.identities), object)
    rows: list[Row] = []
    shown: list[int] = []  # the occluded image of each row
    for occlusion in dict.fromkeys(OCCLUSION_OF.values()):
        usable = [
            row
            for row, (key, split) in enumerate(zip(images.keys, images.splits, strict=True))
            if split == "test" and OCCLUSION_OF.get(kind_of[key]) == occlusion
        ]
        for row in sorted(rng.permutation(usable)[:num_images].tolist()):
            photograph, own = images.image_ids[row], people == images.identities[row]
            same = [place for place in np.flatnonzero(is_test & own).tolist() if stored.keys[place] != photograph]
            strangers = rng.permutation(np.flatnonzero(is_test & ~own))[:NUM_STRANGERS].tolist()
            for places, genuine in ((same, True), (strangers, False)):
                rows += [(stored.keys[place], photograph, images.keys[row], occlusion, genuine) for place in places]
                shown += [row] * len(places)
    different, numbers = np.unique(np.array(shown, np.int64), return_inverse=True)
    pixels = images.read(different.tolist())
    clean = [row[0] for row in rows]
    vectors = {
        name: (_stored(judge, clean), _embedded(judge, pixels)[numbers])
        for name, judge in track(judges.items(), "embedding occluded faces", total=len(judges))
    }
    return _judged(rows, vectors, judges)


def _first(judges: Mapping[str, Judge]) -> EmbeddingSet:
    return next(iter(judges.values())).stored


def _stored(judge: Judge, image_ids: Sequence[str]) -> Floats:
    return judge.stored.vectors[judge.stored.rows(image_ids)]


def _embedded(judge: Judge, images: npt.NDArray[np.uint8]) -> Floats:
    embedder = judge.embedder
    return embed_images(embedder.network, images, embedder.mirror, embedder.images_per_batch, with_patches=False)[0]


def _judged(
    rows: Sequence[Row],
    vectors: Mapping[str, tuple[Floats, Floats]],
    judges: Mapping[str, Judge],
) -> list[Candidate]:
    """Rows as candidates: each network's (N, D) vectors of both faces say what it makes of them."""
    if not rows:
        return []
    scores = {name: cosine(*both).tolist() for name, both in vectors.items()}
    found = []
    for number, row in enumerate(rows):
        of_pair = {name: column[number] for name, column in scores.items()}
        matches = {name: score > judges[name].threshold for name, score in of_pair.items()}
        found.append(Candidate(*row, of_pair, matches))
    return found
