"""Which test pairs are explained: the same ones by every method, with the same draws."""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import Texts
from pipeline_lib.params.explain import Explain

Pair = tuple[str, str]
EXPLANATION, TIES, PATCHES, ORDER, SANITY = range(5)  # what a pair's generators are for


@dataclass(frozen=True)
class SampledPair:
    """A pair to explain.

    Attributes:
        protocol: whose pair it is.
        image_a, image_b: image ids.
        identity_a, identity_b: who is on them.
        genuine: of one person.
        number: its place among the sampled pairs of its protocol and kind, from 0.
        is_measured: its faithfulness is measured.
        is_shown: it becomes a picture.
        seed: params.explain's.
    """

    protocol: str
    image_a: str
    image_b: str
    identity_a: str
    identity_b: str
    genuine: bool
    number: int
    is_measured: bool
    is_shown: bool
    seed: int

    @property
    def kind(self) -> str:
        """In a word."""
        return "genuine" if self.genuine else "impostor"

    @property
    def names(self) -> dict[str, object]:
        """The columns by which tables of measures name a pair."""
        columns = ("protocol", "image_a", "image_b", "identity_a", "identity_b")
        return {column: getattr(self, column) for column in columns}

    def rng(self, purpose: int) -> np.random.Generator:
        """The pair's generator for one of the purposes above; a method's draws change none but its own."""
        return np.random.default_rng([*_seed_of(self.seed, self.protocol, self.genuine), self.number, purpose])


def sample(
    pairs: pa.Table, split_of: Mapping[str, str], identity_of: Mapping[str, str], params: Explain
) -> Iterator[SampledPair]:
    """The pairs of params.explain, protocol by protocol in the order of the table: genuine ones, then impostor ones.

    Of a protocol's pictures, genuine pairs have half, and the odd one. A protocol that lacks a kind of pair gives the other
    alone.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        split_of: image id -> split, of the images that came out of alignment.
        identity_of: image id -> identity, likewise.

    Raises:
        DataError: no protocol has a genuine pair of aligned test images, or none an impostor pair.
    """
    num_genuine = (params.num_pictures + 1) // 2
    sampled = [
        SampledPair(
            protocol,
            a,
            b,
            identity_of[a],
            identity_of[b],
            genuine,
            number,
            number < params.num_pairs,
            number < num_shown,
            params.seed,
        )
        for protocol in pc.unique(pairs["protocol"]).to_pylist()
        for genuine, num_shown in ((True, num_genuine), (False, params.num_pictures - num_genuine))
        for number, (a, b) in enumerate(
            draw_pairs(pairs, split_of, protocol, genuine, max(params.num_pairs, num_shown), params.seed)
        )
    ]
    for genuine in (True, False):
        if not any(pair.genuine == genuine for pair in sampled):
            kind = "genuine" if genuine else "impostor"
            raise DataError(
                f"There is no {kind} pair of aligned test images to explain.", got=f"{pairs.num_rows} pairs"
            )
    yield from sampled


def draw_pairs(
    pairs: pa.Table, split_of: Mapping[str, str], protocol: str, genuine: bool, num: int, seed: int
) -> list[Pair]:
    """Draw `num` pairs of one kind from a protocol; all of them, in that drawn order, if there are fewer.

    Pairs whose images are not both aligned test images are out, and a pair counts once. The draw depends only on the set of
    pairs and the seed, not on the order of the table; a larger `num` begins with the pairs of a smaller one.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        split_of: image id -> split, of the images that came out of alignment.
        protocol: whose pairs.
        genuine: which kind of pair.
        num: how many.
        seed: of the draw.
    """
    of_kind = pairs.filter(pc.and_(pc.equal(pairs["genuine"], genuine), pc.equal(pairs["protocol"], protocol)))
    sides = (Texts(of_kind[side]) for side in ("image_a", "image_b"))
    found = {pair for pair in zip(*sides, strict=True) if all(split_of.get(image) == "test" for image in pair)}
    ordered = sorted(found)
    drawn = np.random.default_rng(_seed_of(seed, protocol, genuine)).permutation(len(ordered))[:num]
    return [ordered[index] for index in drawn]


def _seed_of(seed: int, protocol: str, genuine: bool) -> list[int]:
    return [seed, zlib.crc32(protocol.encode()), int(genuine)]
