"""What anchors say of the training faces: their G by search and by regression, and how far the two are apart."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.anchors import Anchors
from pipeline_lib.matching.anchors.shared.kind import OwnClass, TrainingFaces
from pipeline_lib.matching.dam.dam import Doubles, log_lid, nearest_cosines
from pipeline_lib.matching.dam.lid import LidRegressor, fit_lid
from pipeline_lib.params.anchors import Lid
from pipeline_lib.schemas.anchor_cosines import ANCHOR_COSINES
from pipeline_lib.schemas.anchor_training import ANCHOR_TRAINING

MAX_CURVES, MAX_RANKS = 200, 1000
HELD_OUT, CURVES = 1, 2  # what a generator beside the seed's own is for
Figures = dict[str, float | None]


@dataclass(frozen=True)
class Measured:
    """log G of N training faces.

    Attributes:
        log_lids, learned: float64 (N,), by DAM-R and by DAM-L.
        held_out: bool (N,), faces that the regressor did not learn from.
        regressor: DAM-L.
    """

    log_lids: Doubles
    learned: Doubles
    held_out: npt.NDArray[np.bool_]
    regressor: LidRegressor

    def figures(self) -> Figures:
        """lid_mean and lid_std of G, lid_rmse of its regression and lid_rank_correlation (Spearman's, null where one is constant)
        on the faces held out; the same with `fitted_` before them on those that were learned from.

        lid_std is the error of guessing the mean: what lid_rmse has to be held against.
        """
        found: Figures = {}
        for prefix, rows in (("", self.held_out), ("fitted_", ~self.held_out)):
            lids, estimates = np.exp(self.log_lids[rows]), np.exp(self.learned[rows])
            found |= {
                f"{prefix}lid_mean": float(lids.mean()),
                f"{prefix}lid_std": float(lids.std()),
                f"{prefix}lid_rmse": float(np.sqrt(np.mean((estimates - lids) ** 2))),
                f"{prefix}lid_rank_correlation": rank_correlation(lids, estimates),
            }
        return {"num_training_images": len(self.log_lids), "num_held_out_images": int(self.held_out.sum()), **found}


def measure(anchors: Anchors, faces: TrainingFaces, settings: Lid, seed: int) -> Measured:
    """Search the anchors for each training face, and regress its G (stages of DAM-R and DAM-L).

    Raises:
        DataError: there are no more anchors than k, one identity only, or see nearest_cosines, fit_lid.
    """
    own = own_anchors(anchors, faces)
    scale, k = anchors.scale, anchors.num_neighbours
    log_lids = log_lid(nearest_cosines(faces.vectors, anchors.vectors, k, left_out=own), scale)
    held_out = held_out_faces(faces, settings.held_out_share, np.random.default_rng([seed, HELD_OUT]))
    regressor = fit_lid(faces.vectors[~held_out], log_lids[~held_out], scale, k, settings, seed)
    return Measured(log_lids, regressor.log_lid(faces.vectors), held_out, regressor)


def own_anchors(anchors: Anchors, faces: TrainingFaces) -> npt.NDArray[np.int64] | None:
    """The anchor of each face's own identity, int64 (N,), -1 where it has none; None where nobody has one."""
    own = anchors.of(faces.identities)
    return own if (own >= 0).any() else None


def held_out_faces(faces: TrainingFaces, share: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """All faces of a drawn `share` of the identities, one identity at least and not all of them, bool (N,).

    Raises:
        DataError: there are fewer than two identities.
    """
    names = sorted(set(faces.identities))
    if len(names) < 2:
        problem = "The regressor of G needs two training identities, one of them to be held out."
        raise DataError(problem, got=names, allowed="aligned images of the train split")
    num = min(max(1, round(share * len(names))), len(names) - 1)
    drawn = {names[place] for place in rng.choice(len(names), num, replace=False)}
    return np.array([identity in drawn for identity in faces.identities])


def rank_correlation(a: Doubles, b: Doubles) -> float | None:
    """Spearman's; None where one of the two is constant, or a single value."""
    from scipy.stats import spearmanr

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(spearmanr(a, b).statistic)


def training_table(faces: TrainingFaces, measured: Measured, own_class: OwnClass | None) -> pa.Table:
    """See schemas.anchor_training."""
    nothing = pa.nulls(len(measured.log_lids), pa.float32())
    columns = {
        "image_id": pa.array(faces.image_ids, pa.string()),
        "identity": pa.array(faces.identities, pa.string()),
        "held_out": pa.array(measured.held_out),
        "log_lid": pa.array(measured.log_lids.astype(np.float32)),
        "log_lid_learned": pa.array(measured.learned.astype(np.float32)),
        "own_cosine": nothing if own_class is None else pa.array(own_class.cosines),
        "own_probability": nothing if own_class is None else pa.array(own_class.probabilities),
    }
    return pa.table(columns, schema=ANCHOR_TRAINING)


def cosine_table(anchors: Anchors, faces: TrainingFaces, seed: int) -> pa.Table:
    """See schemas.anchor_cosines: of MAX_CURVES drawn faces, or all, at most MAX_RANKS ranks each."""
    num = len(faces.image_ids)
    drawn = np.sort(np.random.default_rng([seed, CURVES]).choice(num, min(MAX_CURVES, num), replace=False))
    own = own_anchors(anchors, faces)
    num_ranks = min(MAX_RANKS, len(anchors.identities) - (own is not None))
    cosines = nearest_cosines(faces.vectors[drawn], anchors.vectors, num_ranks, None if own is None else own[drawn])
    columns = {
        "image_id": pa.array(np.repeat([faces.image_ids[row] for row in drawn], num_ranks), pa.string()),
        "rank": pa.array(np.tile(np.arange(1, num_ranks + 1, dtype=np.int32), len(drawn))),
        "cosine": pa.array(cosines.ravel()),
    }
    return pa.table(columns, schema=ANCHOR_COSINES)
