"""xSSAB (Huber et al., papers/xssab.md): claims S1 to S4."""

from math import log10

from pipeline_lib.delivery.claims.claim import Claim, Measured, Missing
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.explained import of_network
from pipeline_lib.delivery.claims.means import compare_means, people_of
from pipeline_lib.delivery.claims.xssab_benchmark import s1, s2, s3
from pipeline_lib.schemas.latency import LATENCY

PAPER = "xSSAB"
MARGIN = 2.0  # orders of magnitude


def s4(evidence: Evidence) -> list[Claim]:
    """xFace is two orders slower: log10 of its seconds a pair less that of xSSAB's, embedding included, above 2 (Table 3)."""
    text = "xFace takes more than a hundred times as long as xSSAB to explain a pair of the same network."
    for network in dict.fromkeys(entry.network for entry in evidence.explained):
        slow, fast = (of_network(evidence.explained, network, kind) for kind in ("xface", "xssab"))
        if slow and fast:
            break
    else:
        return [
            Claim("S4", text, dict.fromkeys(evidence.protocols, Missing("no network is explained by both methods")))
        ]

    def on(protocol: str) -> Measured | Missing:
        rows = [entry.rows(protocol, LATENCY, "latency.parquet") for entry in (slow[0], fast[0])]
        a, b = (
            {entry.name: {pair: log10(row["embedding_s"] + row["method_s"]) for pair, row in of_it.items()}}
            for entry, of_it in zip((slow[0], fast[0]), rows, strict=True)
        )
        return compare_means(evidence, people_of(rows[0]), a, b, "time", margin=-MARGIN, unit="log10 s")

    note = f"A is {slow[0].name}, B {fast[0].name}, the first entries of their kinds; one measurement a pair, on this machine."
    return [Claim("S4", text, {protocol: on(protocol) for protocol in evidence.protocols}, note)]


CLAIMS = (s1, s2, s3, s4)
