"""A registered model's card: what it is for, what it is not for, on what its figures rest (Mitchell et al., FAT* 2019)."""

from collections.abc import Mapping
from typing import Any

from pipeline_lib.delivery.registry.choice import Choice
from pipeline_lib.delivery.verifier.about import About
from pipeline_lib.delivery.verifier.domain import SHARE, Domain
from pipeline_lib.matching.verification.calibration import Calibration

CARD = "MODEL_CARD.md"
MAX_CHARACTERS = 5000  # of a description in MLflow's store
FIGURES = {"auc": "AUC", "eer": "equal error rate", "accuracy_mean": "accuracy"}
USE = (
    "Says of two photographs how alike their faces are, whether that is above a threshold, how probable one person is, and which "
    "parts of the faces say so. It is evidence for a person who decides with both photographs in view: experiments, one's own "
    "photographs, people who agreed."
)
NOT_FOR = (
    "Naming strangers; surveillance; any decision about a person that no person makes and answers for; police, border, "
    "employment, credit or access without a test on the people and cameras at hand, its errors by group included."
)
LIMITS = (
    "Relatives, twins, children growing up, masks, heavy make-up and made pictures are not in the figures. Error rates hold for "
    "photographs like those of the calibration; the answer warns where one is not. A probability holds at its prior alone."
)
LICENCE = (
    "The code's licence is LICENSE in the repository. Weights that were trained on photographs are under what the photographs' "
    "and the published weights' own terms allow; these are not stated here and are the user's to check."
)


def model_card(about: About, choice: Choice, domain: Domain | None) -> str:
    """Markdown of at most MAX_CHARACTERS."""
    calibration = choice.calibration
    lines = [
        f"# {about.name}: {choice.column}",
        "",
        f"Made {about.made} at commit {about.commit or 'unknown'}; networks: {about.networks}.",
        *([] if not choice.note else ["", f"**{choice.note}**"]),
        *("", "## Use", "", USE),
        *("", "## Not for", "", NOT_FOR),
        *("", "## Limits", "", LIMITS, "", _knows(domain)),
        *("", "## Data", "", f"Trained on: {about.trained_on}.", "", f"Calibrated on: {about.calibrated_on}."),
        *("", "## Figures on the validation pairs", "", *_table(choice.figures)),
        *("", "## Threshold", "", f"{calibration.threshold:.4f}. {calibration.basis}"),
        *("", "## Licence", "", LICENCE, ""),
    ]
    text = "\n".join(lines)
    assert len(text) <= MAX_CHARACTERS, "a card is a page"
    return text


def figures_at_threshold(calibration: Calibration) -> dict[str, float]:
    """The threshold, and the shares of pairs of two people above it and of one person not above it, at most."""
    tail, misses = calibration.impostors, calibration.misses()
    found = {"threshold": calibration.threshold, "fmr": tail.above(calibration.threshold) / tail.num_pairs}
    return found if misses is None else {**found, "fnmr": misses[0] / misses[1]}


def _knows(domain: Domain | None) -> str:
    if domain is None:
        return "Its calibration had too few photographs to say which others are unlike them: it never warns."
    return f"It warns of a photograph that is further from those of its calibration than {SHARE:.0%} of these are."


def _table(figures: Mapping[str, Any]) -> list[str]:
    """Each of FIGURES that there is, with its 95 % interval where it has one."""
    rows = []
    for key, title in FIGURES.items():
        if key in figures:
            low, high = (figures.get(f"{key}_{end}") for end in ("low", "high"))
            interval = "" if low is None or high is None else f"{low:.2%} to {high:.2%}"
            rows.append(f"| {title} | {figures[key]:.2%} | {interval} |")
    return ["| figure | value | 95 % interval |", "|---|---|---|", *rows]
