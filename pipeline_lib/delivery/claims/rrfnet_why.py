"""RRFNet (Ozturk et al., Restricted Receptive Fields for Face Verification): claims R6 to R8, of explanations."""

import numpy as np

from pipeline_lib.core.bootstrap import interval
from pipeline_lib.delivery.claims.claim import Claim, Effect, Measured, Missing, Side
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.explained import Explained, Rows, Values, of_network
from pipeline_lib.delivery.claims.means import compare_means, people_of
from pipeline_lib.delivery.claims.rrfnet import LAYOUTS, no_rrfnet, rrf_networks
from pipeline_lib.schemas.blurring import BLURRING
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.why.faithfulness.decisions import SHOWN_SHARE, errors

PAPER = "RRFNet"
OWN = "additive"  # the method that is the network's own sum
FRONTAL, PROFILE = "cfp_ff", "cfp_fp"  # CFP's protocols, of the same people
FNR_MARGIN = 0.02


def r6(evidence: Evidence) -> list[Claim]:
    """Same-position patches matter less with pose: their share on frontal less that on profile genuine pairs (Table IV)."""
    return [_same_position(evidence, side_px) for side_px in LAYOUTS]


def r7(evidence: Evidence) -> list[Claim]:
    """The own map is the most faithful: insertion area less the best other's; the best other's deletion area less its own."""
    return [_most_faithful(evidence, side_px, curve) for side_px in LAYOUTS for curve in ("insertion", "deletion")]


def r8(evidence: Evidence) -> list[Claim]:
    """Blurring the most salient share undoes false matches; the least salient share costs few true ones, margin 2 points."""
    return [_blurred(evidence, side_px, genuine) for side_px in LAYOUTS for genuine in (False, True)]


CLAIMS = (r6, r7, r8)


def _same_position(evidence: Evidence, side_px: int) -> Claim:
    name = f"R6-{side_px}"
    text = f"With pose fewer of the {side_px} px patches have their most similar partner at their own position."
    own = _own_map(evidence, side_px)
    if isinstance(own, Missing):
        return Claim(name, text, dict.fromkeys(evidence.protocols, own))
    if not {FRONTAL, PROFILE} <= set(evidence.protocols):
        what = f"pairs of frontal faces and pairs of a frontal and a profile one are needed ({FRONTAL} and {PROFILE})"
        return Claim(name, text, dict.fromkeys(evidence.protocols, Missing(what)))
    note = f"A is {FRONTAL}, B {PROFILE}: genuine pairs of the people that both have."
    return Claim(name, text, {PROFILE: _frontal_less_profile(evidence, own)}, note)


def _frontal_less_profile(evidence: Evidence, own: Explained) -> Measured | Missing:
    found = [own.rows(protocol, FAITHFULNESS, "faithfulness.parquet").values() for protocol in (FRONTAL, PROFILE)]
    both = set.intersection(*({row["identity"] for row in rows} for rows in found))
    if len(both) < 2:
        return Missing("fewer than two people have explained pairs of both protocols")
    kept = [(row, is_profile) for is_profile, rows in enumerate(found) for row in rows if row["identity"] in both]
    shares = np.array([row["same_position_share"] for row, _ in kept])
    of_protocol = np.array([[1.0 - is_profile, is_profile] for _, is_profile in kept])
    bootstrap = evidence.resampled(np.array([[row["identity"]] * 2 for row, _ in kept]))
    # The mean of one protocol's pairs is a ratio of two means of all pairs; every resample of these people has pairs of both.
    frontal, profile = (bootstrap.means(shares[:, None] * of_protocol) / bootstrap.means(of_protocol)).T
    differences, sides = frontal - profile, (Side(FRONTAL, float(frontal[0])), Side(PROFILE, float(profile[0])))
    effect = Effect("patches at their own position", float(differences[0]), *interval(differences[1:]), *sides)
    return Measured(effect, 0.0, len(kept), len(both), num_redrawn=0)


def _most_faithful(evidence: Evidence, side_px: int, curve: str) -> Claim:
    name = f"R7-{side_px}-{curve}"
    words = (
        "raises the score the fastest as it is shown" if curve == "insertion" else "lowers it the fastest as it goes"
    )
    text = f"What RRFNet-{side_px}'s own map calls salient {words}, against other methods' maps of the same network."
    own = _own_map(evidence, side_px)
    if isinstance(own, Missing):
        return Claim(name, text, dict.fromkeys(evidence.protocols, own))
    others = [entry for entry in of_network(evidence.explained, own.network) if entry.kind != OWN]
    if not others:
        return Claim(name, text, dict.fromkeys(evidence.protocols, Missing(f"nothing else explains {own.network}")))

    def on(protocol: str) -> Measured | Missing:
        rows = {entry: entry.rows(protocol, FAITHFULNESS, "faithfulness.parquet") for entry in (own, *others)}
        areas: dict[str, Values] = {
            entry.name: {pair: row[f"{curve}_auc"] for pair, row in of_it.items()} for entry, of_it in rows.items()
        }
        a, measure = {own.name: areas.pop(own.name)}, f"{curve} area"
        people = people_of(rows[own])
        return compare_means(evidence, people, a, areas, measure, less_is_better=curve == "deletion")

    note = f"B is the best of each resample of {', '.join(entry.name for entry in others)}, which favours B."
    return Claim(name, text, {protocol: on(protocol) for protocol in evidence.protocols}, note)


def _blurred(evidence: Evidence, side_px: int, genuine: bool) -> Claim:
    name = f"R8-{side_px}-{'fnr' if genuine else 'fpr'}"
    text = (
        f"Blurring what RRFNet-{side_px}'s map calls least salient costs no more than 2 points of true matches."
        if genuine
        else f"Blurring what RRFNet-{side_px}'s map calls most salient undoes false matches."
    )
    own = _own_map(evidence, side_px)
    if isinstance(own, Missing):
        return Claim(name, text, dict.fromkeys(evidence.protocols, own))

    def on(protocol: str) -> Measured | Missing:
        table = own.rows(protocol, BLURRING, "blurring.parquet")
        rows = {pair: row for pair, row in table.items() if row["genuine"] == genuine}
        blurred, before = ({f"{100 * share:g} % blurred": _wrong(rows, share, genuine)} for share in (SHOWN_SHARE, 0.0))
        measure, margin = ("FNR", FNR_MARGIN) if genuine else ("FPR", 0.0)
        return compare_means(evidence, people_of(rows), blurred, before, measure, margin=margin, less_is_better=True)

    note = f"A has {100 * SHOWN_SHARE:g} % of one of the two faces blurred, B none; without a threshold there are no errors."
    return Claim(name, text, {protocol: on(protocol) for protocol in evidence.protocols}, note)


def _wrong(rows: Rows, share: float, genuine: bool) -> Values:
    """1 for each pair that is decided wrongly with this share blurred, 0 for the others."""
    return {
        pair: float(errors(row["scores"][row["shares"].index(share)], row["threshold"], genuine))
        for pair, row in rows.items()
    }


def _own_map(evidence: Evidence, side_px: int) -> Explained | Missing:
    """The own map of the RRFNet that stands for its patch size: the first that has one."""
    candidates = [network.name for network, _ in rrf_networks(evidence, side_px)]
    for network in candidates:
        for entry in of_network(evidence.explained, network, OWN):
            return entry
    return Missing(f"no entry of kind {OWN} explains {' or '.join(candidates)}" if candidates else no_rrfnet(side_px))
