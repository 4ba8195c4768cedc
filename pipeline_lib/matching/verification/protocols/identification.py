"""1:N identification: every probe against a gallery, ranks and open-set rates, beside the figures of pairs.

Rank-k and CMC of a closed set, TPIR at FPIR of an open one, as NIST's FRVT 1:N and the IJB protocols have them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.roc import Bools, Doubles, check_scores
from pipeline_lib.core.texts import Texts
from pipeline_lib.matching.verification.protocols import kfold
from pipeline_lib.params.section import NonNegative, Positive, Section

MAX_CMC_RANK = 50


class Settings(Section):
    """`ranks`: of the closed set. `false_positive_rates`: FPIRs of the open set.

    `left_out_share`: of the gallery's templates with a mate among the probes, drawn by `seed`, as many are left out of the
    gallery of the open set, so that their probes are strangers there, beside those who have no mate anyway.
    """

    ranks: Annotated[tuple[Positive, ...], Field(min_length=1)] = (1, 5, 10)
    false_positive_rates: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1, 0.01)
    left_out_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    seed: NonNegative = 0


@dataclass(frozen=True)
class Search:
    """Probes against a gallery: scores float64 and genuine bool, (P, G) each; the gallery in order of its names."""

    scores: Doubles
    genuine: Bools


def evaluate(
    values: npt.ArrayLike, pairs: pa.Table, rates: Sequence[float], settings: Settings, is_cosine: bool
) -> dict[str, float]:
    """The figures of one score: those of kfold (see there), and of identification.

    rank@<k>: share of the probes with a mate whose best mate is among the first k; rank as in cmc. tpir@<FPIR>: see tpirs.
    num_probes, num_gallery: of the closed set; num_mated, num_strangers: probes of the open set.

    Raises:
        DataError: see kfold.evaluate and search_of.
    """
    search = search_of(values, pairs)
    shares, open_set = cmc(search), without_some(search, settings)
    mated = open_set.genuine.any(axis=1)
    return {
        **kfold.evaluate(values, pairs, rates, kfold.Settings(), is_cosine),
        **{f"rank@{rank}": float(shares[min(rank, len(shares)) - 1]) for rank in settings.ranks},
        **tpirs(open_set, settings.false_positive_rates),
        "num_probes": len(search.scores),
        "num_gallery": search.scores.shape[1],
        "num_mated": int(mated.sum()),
        "num_strangers": int((~mated).sum()),
    }


def correct_pairs(values: npt.ArrayLike, pairs: pa.Table, settings: Settings, is_cosine: bool) -> Bools:
    """As kfold's, for the interval of the accuracy."""
    return kfold.correct_pairs(values, pairs, kfold.Settings(), is_cosine)


def curve(values: npt.ArrayLike, pairs: pa.Table) -> list[tuple[int, float]]:
    """(rank, share) of the CMC up to MAX_CMC_RANK; raises as search_of."""
    return [(rank, float(share)) for rank, share in enumerate(cmc(search_of(values, pairs))[:MAX_CMC_RANK], start=1)]


def search_of(values: npt.ArrayLike, pairs: pa.Table) -> Search:
    """The probes (image_a) that meet every template or image of the gallery (image_b); pairs of others are no search.

    Args:
        values: (N,), higher is more alike.
        pairs: N of schemas.pairs.PAIRS, of one protocol.

    Raises:
        DataError: no such probe, none of them has a mate, or see roc.check_scores.
    """
    scores, labels = check_scores(values, pairs["genuine"].to_numpy(zero_copy_only=False))
    (probe, probes), (column, names) = (Texts(pairs[side]).numbered() for side in ("image_a", "image_b"))
    matrix = np.full((len(probes), len(names)), np.nan)
    genuine = np.zeros(matrix.shape, np.bool_)
    matrix[probe, column], genuine[probe, column] = scores, labels
    whole = ~np.isnan(matrix).any(axis=1)
    if not genuine[whole].any():
        raise DataError(
            "These pairs are no search: no probe with a mate meets the whole gallery.",
            got=f"{int(whole.sum())} of {len(whole)} probes meet all {len(names)} of the gallery",
            allowed="image_a of some pairs with each image_b there is",
        )
    return Search(matrix[whole], genuine[whole])


def cmc(search: Search) -> Doubles:
    """Share of the probes with a mate that have it at rank k or before, float64 (G,), k = 1..G.

    A probe's rank is 1 + how many of other people score at least as high as its best mate: a tie is lost.
    """
    mated = search.genuine.any(axis=1)
    ranks = 1 + _num_above(search)[mated]
    num = search.scores.shape[1]
    return np.asarray(np.cumsum(np.bincount(ranks, minlength=num + 1)[1 : num + 1]) / mated.sum())


def without_some(search: Search, settings: Settings) -> Search:
    """The search of the open set: the gallery without left_out_share of its templates that have a mate."""
    with_mate = np.flatnonzero(search.genuine.any(axis=0))
    order = np.random.default_rng(settings.seed).permutation(with_mate)
    stays = np.ones(search.scores.shape[1], np.bool_)
    stays[order[: round(settings.left_out_share * len(order))]] = False
    return Search(search.scores[:, stays], search.genuine[:, stays])


def tpirs(search: Search, rates: Sequence[float]) -> dict[str, float]:
    """{"tpir@<FPIR>": TPIR} of the rates that the strangers, probes without a mate, resolve.

    FPIR(t) = share of the strangers of whom somebody scores above t; TPIR(t) = share of the probes with a mate whose mate is
    at rank 1 and above t; t is the lowest score with an FPIR of at most the rate. No rate below 1 / num_strangers is told.
    """
    mated = search.genuine.any(axis=1)
    if mated.all() or not mated.any():
        return {}
    highest = np.sort(search.scores[~mated].max(axis=1))[::-1]
    best = np.where(search.genuine, search.scores, -np.inf).max(axis=1)[mated]
    first = _num_above(search)[mated] == 0
    found = {}
    for rate in rates:
        allowed = int(rate * len(highest) * (1 + 1e-9))  # 0.01 * 100 must count as 1 whatever its rounding
        if allowed:
            found[f"tpir@{rate:g}"] = float(np.mean(first & (best > highest[allowed])))
    return found


def _num_above(search: Search) -> npt.NDArray[np.int64]:
    """How many of other people score at least as high as each probe's best mate, int64 (P,)."""
    best = np.where(search.genuine, search.scores, -np.inf).max(axis=1)
    return np.asarray(((search.scores >= best[:, None]) & ~search.genuine).sum(axis=1), np.int64)
