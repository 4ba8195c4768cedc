"""Section `verify`: how pairs are judged."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline_lib.params.section import OpenSection, Section


class Protocol(OpenSection):
    """How a protocol's pairs are evaluated: `kind` names a module of matching/verification/protocols, which checks the rest."""

    kind: str


class Fmr(Section):
    """The threshold that a share `fmr` of the impostor pairs is above."""

    fmr: Annotated[float, Field(gt=0, lt=1)]


Decide = Literal["even_odds", "accuracy", "eer"] | Fmr
CalibrationKind = Literal["logistic", "isotonic"]


class Verify(Section):
    """Pair verification; a rate too low for the number of impostors is left out of the tables.

    `decide`: the threshold on the validation pairs, which the registered model has. even_odds: where the curve passes
    1/2; accuracy, eer: best, or equal errors; {fmr: 0.001}: so few impostor pairs above. `protocols`: those that are not
    evaluated as kfold, by name. `calibration`: the curve that gives the registered model's probability. `num_bootstrap`:
    resamples of the people behind each interval; 0 leaves intervals out. `groups`: columns of the manifest, a user's attributes,
    or `group`, the pairs' own, by which errors are told.
    """

    decide: Decide
    calibration: CalibrationKind = "logistic"
    num_bootstrap: Annotated[int, Field(ge=0)] = 500
    false_accept_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    protocols: dict[str, Protocol] = {}
    groups: list[str] = []
