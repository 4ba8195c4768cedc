"""Region weights fitted in several ways, and which of them verifies people best whom neither fit nor networks have seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json, write_json
from pipeline_lib.core.roc import Doubles, area_under, roc_curve
from pipeline_lib.data.sources.shared.training_pairs import PairLabels, pair_labels
from pipeline_lib.matching.regions.held_out import fit_held_out
from pipeline_lib.matching.regions.weights import RegionWeights, fit_region_weights
from pipeline_lib.matching.regions.weights_json import weights_as_json, weights_from_json

TRAIN, VAL = "train", "val"
VARIANT = "variant_"  # begins its row of metrics


@dataclass(frozen=True)
class SplitPairs:
    """Pairs of the people of one split: cosines of the regions, float64 (N, K); what they are; their people's names, N pairs."""

    cosines: Doubles
    labels: PairLabels
    names: Sequence[tuple[str, str]]

    @property
    def fold_of(self) -> dict[str, int]:
        """The fold of each person."""
        folds = self.labels.folds.tolist()
        return {name: fold for both, fold in zip(self.names, folds, strict=True) for name in both}


@dataclass(frozen=True)
class Variant:
    """One way to fit: on pairs of training people (RRFNet) or of validation people, with weights of any sign or none below 0."""

    fit_on: str
    non_negative: bool

    @property
    def name(self) -> str:
        """As in columns and tables."""
        return f"{self.fit_on}_non_negative" if self.non_negative else self.fit_on


@dataclass(frozen=True)
class VariantFit:
    """The weights of all positions together, and their figures on validation people (held_out_figures); empty without such."""

    weights: RegionWeights
    figures: Mapping[str, float]


def by_split(table: pa.Table, cosines: npt.ArrayLike) -> dict[str, SplitPairs]:
    """The rows of schemas.training_pairs.TRAINING_PAIRS and their regions' cosines (N, K), by split."""
    splits, values = np.array(table["split"].to_pylist()), np.asarray(cosines, np.float64)
    found = {}
    for split in np.unique(splits).tolist():
        rows = np.flatnonzero(splits == split)
        part = table.take(rows)
        names = list(zip(part["identity_a"].to_pylist(), part["identity_b"].to_pylist(), strict=True))
        found[split] = SplitPairs(values[rows], pair_labels(part), names)
    return found


def variants_of(fit_on: Sequence[str], non_negative: Sequence[bool], pairs: Mapping[str, SplitPairs]) -> list[Variant]:
    """Every way to fit; without pairs of validation people, who would choose among them, the first that needs none."""
    ways = [Variant(split, below) for split in fit_on for below in non_negative]
    return ways if VAL in pairs else [way for way in ways if way.fit_on == TRAIN][:1]


def fit_variant(
    variant: Variant, positions: Sequence[str], pairs: SplitPairs, strengths: Sequence[float]
) -> RegionWeights:
    """The weights of K positions; of validation people with `held_out`, by which these people's pairs are scored.

    Args:
        pairs: of variant.fit_on's split, their cosines in the order of `positions`.

    Raises:
        DataError: see fit_region_weights, fit_held_out.
    """
    labels = pairs.labels
    rows = pairs.cosines, labels.genuine, labels.folds
    found = fit_region_weights(positions, *rows, strengths, variant.non_negative)
    if variant.fit_on != VAL:
        return found
    held_out = fit_held_out(*rows, pairs.fold_of, found.strength, found.intercept, variant.non_negative)
    return replace(found, held_out=held_out)


def fit_variants(
    variants: Sequence[Variant], positions: Sequence[str], pairs: Mapping[str, SplitPairs], strengths: Sequence[float]
) -> dict[str, VariantFit]:
    """All of them, by name; `pairs` by split, with VAL for the figures; see fit_variant."""
    found = {}
    for variant in variants:
        weights = fit_variant(variant, positions, pairs[variant.fit_on], strengths)
        found[variant.name] = VariantFit(weights, held_out_figures(weights, pairs[VAL]) if VAL in pairs else {})
    return found


def held_out_figures(weights: RegionWeights, pairs: SplitPairs) -> dict[str, float]:
    """On pairs of validation people: held_out_auc, the mean over their folds; held_out_accuracy where the log odds are above 0;
    held_out_log_loss; and num_negative, how many weights are below 0.

    Weights fitted on these people are judged by the fits without them (cross-validation over people), at the strength that
    did best there: that much their figures flatter.
    """
    labels = pairs.labels
    scores = pairs.cosines @ weights.weights
    if weights.held_out is not None:
        scores = weights.held_out.score(pairs.cosines, pairs.names, weights.weights)
    logits = scores + weights.intercept
    folds = [labels.folds == fold for fold in np.unique(labels.folds)]
    areas = [area_under(roc_curve(scores[rows], labels.genuine[rows])) for rows in folds]
    return {
        "held_out_auc": float(np.mean(areas)),
        "held_out_accuracy": float(np.mean((logits > 0) == labels.genuine)),
        "held_out_log_loss": float(np.logaddexp(0.0, np.where(labels.genuine, -logits, logits)).mean()),
        "num_negative": float((weights.weights < 0).sum()),
    }


def best_variant(variants: Sequence[Variant], fits: Mapping[str, VariantFit]) -> Variant:
    """The one with the largest held_out_auc, the first of equals; a single one as it is."""
    if len(variants) == 1:
        return variants[0]
    return max(variants, key=lambda variant: fits[variant.name].figures["held_out_auc"])


def variants_summary(fits: Mapping[str, VariantFit], chosen: Variant) -> dict[str, dict[str, float]]:
    """{"variant_<name>": figures}: those of held_out_figures, strength, and chosen, 1 of the best and 0 of the others."""
    return {
        f"{VARIANT}{name}": {**fit.figures, "strength": fit.weights.strength, "chosen": float(name == chosen.name)}
        for name, fit in fits.items()
    }


def write_variants(path: Path, fits: Mapping[str, VariantFit]) -> None:
    """Write the weights as JSON, by name."""
    write_json(path, {name: weights_as_json(fit.weights) for name, fit in fits.items()})


def read_variants(path: Path) -> dict[str, RegionWeights]:
    """Read what write_variants wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        return {name: weights_from_json(raw, list(raw["weights"])) for name, raw in read_json(path).items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = "The variants of region weights are damaged; rerun the fit_region_weights stage."
        raise DataError(problem, got=repr(error), where=path) from error
