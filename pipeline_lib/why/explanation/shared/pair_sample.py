"""Which test pairs are explained: the same ones by every method, with the same draws."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.texts import Texts
from pipeline_lib.params.explain import Explain

Pair = tuple[str, str]
EXPLANATION, TIES = range(2)  # what a pair's generators are for


@dataclass(frozen=True)
class SampledPair:
    """A pair to explain.

    Attributes:
        image_a, image_b: image ids.
        genuine: of one person.
        number: its place among the sampled pairs of its kind, from 0.
        is_measured: its faithfulness is measured.
        is_shown: it becomes a picture.
        seed: params.explain's.
    """

    image_a: str
    image_b: str
    genuine: bool
    number: int
    is_measured: bool
    is_shown: bool
    seed: int

    @property
    def kind(self) -> str:
        """In a word."""
        return "genuine" if self.genuine else "impostor"

    def rng(self, purpose: int) -> np.random.Generator:
        """The pair's generator for EXPLANATION or for TIES; the latter draws the same whatever a method draws."""
        return np.random.default_rng([self.seed, int(self.genuine), self.number, purpose])


def sample(pairs: pa.Table, split_of: Mapping[str, str], params: Explain) -> Iterator[SampledPair]:
    """The pairs of params.explain: genuine ones to measure, and of those and of impostor pairs some to show.

    Of the pictures, genuine pairs have half, and the odd one.

    Args:
        pairs, split_of: see draw_pairs.

    Raises:
        DataError: see draw_pairs.
    """
    num_genuine = (params.num_pictures + 1) // 2
    for genuine, num_measured, num_shown in (
        (True, params.num_pairs, num_genuine),
        (False, 0, params.num_pictures - num_genuine),
    ):
        drawn = draw_pairs(pairs, split_of, genuine, max(num_measured, num_shown), params.seed)
        for number, (image_a, image_b) in enumerate(drawn):
            is_measured, is_shown = number < num_measured, number < num_shown
            yield SampledPair(image_a, image_b, genuine, number, is_measured, is_shown, params.seed)


def draw_pairs(pairs: pa.Table, split_of: Mapping[str, str], genuine: bool, num: int, seed: int) -> list[Pair]:
    """Draw `num` pairs of one kind from the test protocols; all of them, in that drawn order, if there are fewer.

    Pairs whose images are not both aligned test images are out, and a pair counts once, whatever protocols name it. The
    draw depends only on the set of pairs and the seed, not on the order of the table; a larger `num` begins with the
    pairs of a smaller one.

    Args:
        pairs: a table of schemas.pairs.PAIRS.
        split_of: image id -> split, of the images that came out of alignment.
        genuine: which kind of pair.
        num: how many.
        seed: of the draw.

    Raises:
        DataError: there is no such pair.
    """
    if num == 0:
        return []
    of_kind = pairs.filter(pc.equal(pairs["genuine"], genuine))
    sides = (Texts(of_kind[side]) for side in ("image_a", "image_b"))
    found = {pair for pair in zip(*sides, strict=True) if all(split_of.get(image) == "test" for image in pair)}
    if not found:
        kind = "genuine" if genuine else "impostor"
        raise DataError(f"There is no {kind} pair of aligned test images to explain.", got=f"{pairs.num_rows} pairs")
    ordered = sorted(found)
    drawn = np.random.default_rng([seed, int(genuine)]).permutation(len(ordered))[:num]
    return [ordered[index] for index in drawn]
