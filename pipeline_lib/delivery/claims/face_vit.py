"""Face-ViT (Phan 2023, papers/deepface-emd-and-face-vit.md, chapter 4 and section 5.3): claims V1 to V5."""

from collections.abc import Iterator
from math import log10

from pipeline_lib.delivery.claims.claim import Claim
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.over import Over
from pipeline_lib.delivery.claims.pairs import compare, nowhere
from pipeline_lib.delivery.claims.queries import compare_queries, not_asked, of_kind
from pipeline_lib.delivery.claims.ranked import Ranked

PAPER = "Face-ViT"
OUTPUT = {"H2": "cls", "H2L": "linear"}
DEPTH_MARGIN, EMD_MARGIN, TIMES_AS_FAST = 0.005, 0.01, 2.0
MAY_DIFFER = {"arch", "output", "embedding_dim"}


def v1(evidence: Evidence) -> list[Claim]:
    """Two images beat one: accuracy of H2 less that of H1, of the same depth, heads and training (Table 5.10)."""
    text = "A transformer that sees both faces (H2) verifies better than one that sees each alone (H1)."
    return _verified(
        evidence,
        "V1",
        text,
        list(_models(evidence, "H2")),
        _alone(evidence),
        "hybrid_vit (H1)",
        "face_vit with output cls (H2)",
    )


def v2(evidence: Evidence) -> list[Claim]:
    """Two linear outputs beat the class token: accuracy of H2L less that of H2, likewise (Table 5.10)."""
    text = "Two linear outputs (H2L) verify better than one class token (H2)."
    ours, theirs = (list(_models(evidence, model)) for model in ("H2L", "H2"))
    return _verified(
        evidence, "V2", text, ours, theirs, "face_vit with output cls (H2)", "one with output linear (H2L)"
    )


def v3(evidence: Evidence) -> list[Claim]:
    """Depth 1 suffices: accuracy at depth 1 less that of the best other depth, margin 0.5 points (Table 5.11)."""
    text = "One layer is enough: no deeper Face-ViT verifies more than 0.5 points better."
    claims = []
    for model in ("H2L", "H2"):
        found = list(_models(evidence, model))
        for network, column in found:
            if network.spec["depth"] == 1:
                deeper = [(o, c) for o, c in found if o.spec["depth"] > 1 and o.alike(network, {"depth"})]
                if deeper:
                    depths = ", ".join(str(depth) for depth in sorted({other.spec["depth"] for other, _ in deeper}))
                    columns = [other for _, other in deeper]
                    note = f"Model {model}; B is the best of depth {depths} on each resample, which favours B."
                    result = compare(evidence, [column], columns, "accuracy", DEPTH_MARGIN, "AUC")
                    claims.append(Claim(f"V3-{network.name}", text, result, note))
    what = "no two scores of kind face_vit are of networks that differ in depth alone, one of them of depth 1"
    return claims or [Claim("V3", text, nowhere(evidence, what))]


def v4(evidence: Evidence) -> list[Claim]:
    """As good as EMD under occlusion: P@1 re-ranked by H2L less that by EMD, margin 1 point (Tables 5.12, 5.13)."""
    text = "Face-ViT (H2L) re-ranks occluded queries as well as the earth mover's distance does."
    found = [
        Claim(
            f"V4-{ours.network}",
            text,
            compare_queries(evidence, ours.queries, {ours.name: ours.after}, {emd.name: emd.after}, margin=EMD_MARGIN),
            f"A is {ours.words}; B is {emd.words}.",
        )
        for ours, emd in _against_emd(evidence)
    ]
    return found or [not_asked("V4", text, NO_RIVALS)]


def v5(evidence: Evidence) -> list[Claim]:
    """About twice as fast: log10 of EMD's seconds a pair less that of H2L's on the same maps, above log10 2 (Table 5.14)."""
    text = "The earth mover's distance takes more than twice as long for a pair as Face-ViT (H2L) on the same maps."
    found = [
        Claim(
            f"V5-{ours.network}",
            text,
            compare_queries(
                evidence,
                ours.queries,
                {emd.name: emd.log_pair_seconds},
                {ours.name: ours.log_pair_seconds},
                "time",
                margin=-log10(TIMES_AS_FAST),
                unit="log10 s",
            ),
            f"A is {emd.words}; B is {ours.words}. Seconds a pair on one thread, reading the maps included.",
        )
        for ours, emd in _against_emd(evidence)
    ]
    return found or [not_asked("V5", text, NO_RIVALS)]


CLAIMS = (v1, v2, v3, v4, v5)
NO_RIVALS = (
    "no entry of rerank of kind face_vit with output linear stands beside one of kind emd on the same gallery, queries and"
    " candidates"
)


def _models(evidence: Evidence, model: str) -> Iterator[tuple[Over, str]]:
    """The networks of kind face_vit with a model's output and their columns, the shallowest first."""
    column_of = {
        entry.with_.rpartition("/")[2]: name for name, entry in evidence.scored.items() if entry.kind == "face_vit"
    }
    chosen = [
        network for network in evidence.over if network.kind == "face_vit" and network.spec["output"] == OUTPUT[model]
    ]
    for network in sorted(chosen, key=_order):
        if column_of.get(network.name) in evidence.kinds:
            yield network, column_of[network.name]


def _alone(evidence: Evidence) -> list[tuple[Over, str]]:
    """The networks of kind hybrid_vit and their cosines' columns."""
    chosen = sorted((network for network in evidence.over if network.kind == "hybrid_vit"), key=_order)
    return [(network, f"cosine:{network.name}") for network in chosen if f"cosine:{network.name}" in evidence.kinds]


def _order(network: Over) -> tuple[object, ...]:
    return network.spec["depth"], network.spec["heads"], network.name


def _verified(
    evidence: Evidence,
    name: str,
    text: str,
    ours: list[tuple[Over, str]],
    theirs: list[tuple[Over, str]],
    *words: str,
) -> list[Claim]:
    """A claim for each network that both models stand on: the first two that are otherwise alike."""
    claims: dict[tuple[str, ...], Claim] = {}
    for network, column in ours:
        for other, beside in theirs:
            if network.over not in claims and network.alike(other, MAY_DIFFER):
                note = (
                    f"Depth {network.spec['depth']}, {network.spec['heads']} heads, over {' and '.join(network.over)}."
                )
                found = compare(evidence, [column], [beside], "accuracy", beside="AUC")
                claims[network.over] = Claim(f"{name}-{'_'.join(network.over)}", text, found, note)
    what = f"no {words[0]} and {words[1]} of the same network, depth, heads and training are scored"
    return list(claims.values()) or [Claim(name, text, nowhere(evidence, what))]


def _against_emd(evidence: Evidence) -> list[tuple[Ranked, Ranked]]:
    """Of each gallery the first entry by H2L, and the first by EMD that has the same candidates."""
    outputs = {f"networks_over/{network.name}": network.spec.get("output") for network in evidence.over}
    found: dict[str, tuple[Ranked, Ranked]] = {}
    for ours in of_kind(evidence.ranked, "face_vit"):
        for emd in of_kind(evidence.ranked, "emd"):
            same = emd.differs_in(ours) <= {"kind", "with", "alpha"}
            if same and outputs.get(ours.settings["with"]) == OUTPUT["H2L"]:
                found.setdefault(ours.network, (ours, emd))
    return list(found.values())
