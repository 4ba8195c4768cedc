"""Fusion with an information bottleneck (Akyash et al. 2023, papers/feature-fusion-vib.md): claims F1 to F3."""

import numpy as np

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.core.roc import Doubles
from pipeline_lib.delivery.claims.claim import Claim, Effect, Measured, Missing, Side
from pipeline_lib.delivery.claims.evidence import Evidence, Half
from pipeline_lib.delivery.claims.over import Over
from pipeline_lib.delivery.claims.pairs import compare, nowhere
from pipeline_lib.matching.verification.paired_bootstrap import TooFewIdentities

PAPER = "Fusion"


def f1(evidence: Evidence) -> list[Claim]:
    """Local and global beat either: AUC of both parts less that of the better one alone, without bottleneck (Table I)."""
    text = "Fusing two networks place by place and as wholes verifies better than either alone."
    claims = []
    for both in plain(evidence, "both"):
        either = [
            other for part in ("local", "global") for other in plain(evidence, part) if other.alike(both, {"parts"})
        ]
        if len({other.spec["parts"] for other in either}) == 2:
            found = compare(evidence, [column(both)], [column(other) for other in either], beside="accuracy")
            note = f"Over {' and '.join(both.over)}; B is the better part of each resample, which favours B."
            claims.append(Claim(f"F1-{both.name}", text, found, note))
    what = "no three scored networks of kind fusion without beta differ in their parts alone: local, global, both"
    return claims or [Claim("F1", text, nowhere(evidence, what))]


def f2(evidence: Evidence) -> list[Claim]:
    """The bottleneck helps: AUC with it less that without, all else alike (Table I)."""
    text = "Fusion with an information bottleneck verifies better than without."
    claims = []
    for bare in (network for parts in ("both", "local", "global") for network in plain(evidence, parts)):
        narrow = [other for other in bottlenecks(evidence) if other.spec["beta"] > 0 and other.alike(bare, {"beta"})]
        if narrow:
            found = compare(evidence, [column(other) for other in narrow], [column(bare)], beside="accuracy")
            betas = ", ".join(f"{other.spec['beta']:g}" for other in narrow)
            best = "A has beta " if len(narrow) == 1 else "A is the best of each resample, which favours A, of beta "
            note = f"Over {' and '.join(bare.over)}, parts {bare.spec['parts']}; {best}{betas}."
            claims.append(Claim(f"F2-{bare.name}", text, found, note))
    what = "no two scored networks of kind fusion differ in beta alone, null in one of them and above 0 in the other"
    return claims or [Claim("F2", text, nowhere(evidence, what))]


def f3(evidence: Evidence) -> list[Claim]:
    """Better pictures want more compression: log10 of the best beta on the sharper half of the pairs less that on the other half
    (Fig. 3), the best one chosen anew on each resample.
    """
    text = "The sharper half of the pairs is verified best with a larger beta than the blurrier half."
    claims = []
    for networks in sweeps(evidence):
        results = {protocol: _best_betas(evidence, protocol, networks) for protocol in evidence.protocols}
        betas = ", ".join(f"{network.spec['beta']:g}" for network in networks)
        first = networks[0]
        note = (
            f"Over {' and '.join(first.over)}, parts {first.spec['parts']}, beta {betas}; best by AUC, the smaller of equals. "
            "A pair is as sharp as the blurrier of its faces: the variance of the 112 px face's Laplacian."
        )
        claims.append(Claim(f"F3-{first.name}", text, results, note))
    what = "no two scored networks of kind fusion differ in beta alone, above 0 in both"
    return claims or [Claim("F3", text, nowhere(evidence, what))]


CLAIMS = (f1, f2, f3)


def column(network: Over) -> str:
    """Its cosine among the pair scores."""
    return f"cosine:{network.name}"


def fusions(evidence: Evidence) -> list[Over]:
    """The networks of kind fusion whose cosine was scored."""
    return [network for network in evidence.over if network.kind == "fusion" and column(network) in evidence.kinds]


def plain(evidence: Evidence, parts: str) -> list[Over]:
    """Those of some parts without bottleneck."""
    return [one for one in fusions(evidence) if one.spec["parts"] == parts and one.spec["beta"] is None]


def bottlenecks(evidence: Evidence) -> list[Over]:
    """Those with a beta, the smallest first."""
    found = [one for one in fusions(evidence) if one.spec["beta"] is not None]
    return sorted(found, key=lambda one: float(one.spec["beta"]))


def sweeps(evidence: Evidence) -> list[list[Over]]:
    """Two and more that differ in beta alone, above 0 in all, the smallest first."""
    groups: list[list[Over]] = []
    for network in (one for one in bottlenecks(evidence) if one.spec["beta"] > 0):
        for group in groups:
            if network.alike(group[0], {"beta"}):
                if network.spec["beta"] != group[-1].spec["beta"]:
                    group.append(network)
                break
        else:
            groups.append([network])
    return [group for group in groups if len(group) > 1]


def _best_betas(evidence: Evidence, protocol: str, networks: list[Over]) -> Measured | Missing:
    try:
        pairs = evidence.pairs(protocol)
    except TooFewIdentities:
        return Missing("the protocol has too few identities to resample them")
    sharper, blurrier = (_best_beta(evidence, protocol, networks, half) for half in ("sharper", "blurrier"))
    differences = sharper - blurrier
    usable = differences[1:][np.isfinite(differences[1:])]
    if not np.isfinite(differences[0]) or len(usable) < 2:
        return Missing("half of the pairs by sharpness are of one class")
    sides = (Side("sharper half", float(sharper[0])), Side("blurrier half", float(blurrier[0])))
    effect = Effect("best beta", float(differences[0]), *interval(usable), *sides, "log10")
    num_lost = len(differences) - 1 - len(usable)
    return Measured(effect, 0.0, pairs.num_pairs, pairs.num_identities, pairs.num_redrawn + num_lost)


def _best_beta(evidence: Evidence, protocol: str, networks: list[Over], half: Half) -> Doubles:
    """log10 of the beta of highest AUC on a half, then on each resample; NaN where the half is of one class."""
    figures = np.stack([evidence.figures(protocol, column(network), "AUC", half) for network in networks])
    best = np.log10([network.spec["beta"] for network in networks])[figures.argmax(axis=0)]
    return np.where(np.isfinite(figures).all(axis=0), best, np.nan)
