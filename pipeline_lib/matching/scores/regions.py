"""RRFNet's Approach A: the weighted sum of the regions' cosines, and each region alone (papers/rrfnet.md, eq. 1 and 2)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.regions.features import open_region_features
from pipeline_lib.matching.regions.fits import read_region_fits
from pipeline_lib.matching.regions.variants import read_variants
from pipeline_lib.matching.regions.weights import RegionWeights
from pipeline_lib.matching.scores.shared.faces import Faces, Needs, given
from pipeline_lib.matching.scores.shared.pairs import PairSet
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import Scorer, ScoreSettings, State

WEIGHTS_FILE, VARIANTS_FILE = "weights.json", "variants.json"


class Settings(ScoreSettings):
    """It has none: `of` holds the regions' features, `with` their weights."""


class CombinedRegions(Scorer):
    """S_global = Σ_i w_i·S_local,i (eq. 2).

    Args:
        positions: K regions.
        weights: float64 (K,), for cosines as they are.
    """

    def __init__(self, positions: Sequence[str], weights: npt.NDArray[np.float64]) -> None:
        self.needs, self._weights = Needs(positions=tuple(positions)), weights

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return np.asarray(self.parts(a, b).sum(axis=1), np.float32)

    def parts(self, a: Faces, b: Faces) -> npt.NDArray[np.float64]:
        """See Scorer: w_i·S_local,i."""
        local = cosine(given(a.patches), given(b.patches))
        return local.astype(np.float64) * self._weights

    def state(self) -> State:
        """See Scorer."""
        return {"positions": list(self.needs.positions), "weights": self._weights}


class FittedRegions(CombinedRegions):
    """Weights as they were fitted: in a table, pairs of validation people whom they were fitted on are scored without them.

    Args:
        found: the fit.
        pairs: what is scored, with the owners of its faces.
        in_headline: see Scorer.
    """

    def __init__(self, found: RegionWeights, pairs: PairSet, in_headline: bool = True) -> None:
        super().__init__(found.positions, found.weights)
        self._held_out, self._pairs, self.in_headline = found.held_out, pairs, in_headline

    def score_rows(self, a: Faces, b: Faces, pairs: pa.Table) -> Floats:
        """See Scorer."""
        if self._held_out is None:
            return self.score(a, b)
        owners = (self._pairs.owners(pairs[side].to_pylist()) for side in ("image_a", "image_b"))
        cosines = cosine(given(a.patches), given(b.patches)).astype(np.float64)
        scores = self._held_out.score(cosines, list(zip(*owners, strict=True)), self._weights)
        return scores.astype(np.float32)


class OneRegion(Scorer):
    """S_local of one region, a plain cosine (eq. 1)."""

    is_cosine = True
    in_headline = False

    def __init__(self, position: str) -> None:
        self.needs = Needs(positions=(position,))

    def score(self, a: Faces, b: Faces) -> Floats:
        """See Scorer."""
        return cosine(given(a.patches)[:, 0], given(b.patches)[:, 0])

    def state(self) -> State:
        """See Scorer."""
        return {"position": self.needs.positions[0]}


def open_columns(settings: Settings, reads: Reads) -> dict[str, Scorer]:
    """A column for each combination, 28, 56, 28_56 as the positions allow, for each position and, where the weights were fitted
    in several ways, <widest combination>/<variant> for each.

    Raises:
        DataError: features or weights are missing or damaged, or are of other positions.
    """
    path = reads.with_ / WEIGHTS_FILE
    positions, fits = open_region_features(reads.of).positions, read_region_fits(path)
    known = {name for fit in fits.values() for name in fit.weights.positions}
    if known != set(positions):
        problem = "The region weights are for other positions; rerun the fit_region_weights stage."
        raise DataError(problem, got=sorted(known), allowed=positions, where=path)
    columns: dict[str, Scorer] = {name: FittedRegions(fit.weights, reads.pairs) for name, fit in fits.items()}
    columns |= {name: OneRegion(name) for name in positions}
    variants = read_variants(reads.with_ / VARIANTS_FILE)
    if len(variants) > 1:
        widest = list(fits)[-1]
        columns |= {
            f"{widest}/{name}": FittedRegions(found, reads.pairs, in_headline=False) for name, found in variants.items()
        }
    return columns


def restore(state: State) -> Scorer:
    """See Scorer.state."""
    return OneRegion(**state) if "position" in state else CombinedRegions(**state)
