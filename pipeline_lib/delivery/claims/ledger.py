"""The ledger: every paper's claims, judged, as claims.json holds them."""

from typing import Any

from pipeline_lib.delivery.claims import dam, deepface_emd, face_vit, fusion, rrfnet, rrfnet_why, xssab
from pipeline_lib.delivery.claims.claim import as_record
from pipeline_lib.delivery.claims.evidence import Evidence

PAPERS = (
    rrfnet,
    rrfnet_why,
    xssab,
    deepface_emd,
    face_vit,
    fusion,
    dam,
)  # each with PAPER, its name, and CLAIMS, its functions
Record = dict[str, Any]


def judge_all(evidence: Evidence) -> Record:
    """Claim id -> what claim.as_record says."""
    found = [(paper.PAPER, claim) for paper in PAPERS for judge in paper.CLAIMS for claim in judge(evidence)]
    return {claim.id: as_record(claim, paper) for paper, claim in found}


def flat_figures(claims: Record) -> dict[str, float]:
    """What MLflow keeps of each measured claim: claims/R1/<protocol>/effect, low, high."""
    return {
        f"claims/{name}/{protocol}/{key}": result[key]
        for name, claim in claims.items()
        for protocol, result in claim["protocols"].items()
        if "effect" in result
        for key in ("effect", "low", "high")
    }


def verdicts(claims: Record) -> dict[str, str]:
    """claims/R1/<protocol> -> the verdict."""
    return {
        f"claims/{name}/{protocol}": result["verdict"]
        for name, claim in claims.items()
        for protocol, result in claim["protocols"].items()
    }
