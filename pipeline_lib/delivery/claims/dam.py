"""DAM (Liu et al., Discrepancy Alignment Metric for Face Recognition): claims D1 to D4, one for each network and FAR."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline_lib.delivery.claims.anchors import AnchorSet
from pipeline_lib.delivery.claims.claim import Claim, Measured, Missing
from pipeline_lib.delivery.claims.evidence import TAR, Evidence
from pipeline_lib.delivery.claims.pairs import compare, compare_extremes, nowhere

PAPER = "DAM"
NUM_NEIGHBOURS, SCALE = 10, 1.0  # the paper's k and s (section 4.1)
MARGIN = 0.005  # of TAR
VARIED = ("k=", "s=")  # what Fig. 4 varies of G; columns of fewer anchors (a=) are no rivals of k and s
NO_ANCHORS = "no pair score of kind dam is there"

Results = dict[str, Measured | Missing]


@dataclass(frozen=True)
class Scored:
    """An entry of `scores` that reads anchors: its name, its own keys, and the anchors' entry with its name."""

    name: str
    form: str
    anchors_name: str
    anchors: AnchorSet

    @property
    def setting(self) -> tuple[float, int]:
        """s and k."""
        return self.anchors.scale, self.anchors.num_neighbours

    @property
    def words(self) -> str:
        """What was measured: DAM over real anchors, k = 10, s = 1."""
        form = "" if self.form == "sum" else f" ({self.form})"
        scale, num_neighbours = self.setting
        return (
            f"{self.name}{form}, {self.anchors.kind} anchors {self.anchors_name}, k = {num_neighbours}, s = {scale:g}"
        )


def d1(evidence: Evidence) -> list[Claim]:
    """DAM-R raises TAR: that of DAM with searched neighbours less the cosine's of the same network (Tables 1, 2)."""
    text = "DAM with the nearest anchors (DAM-R) accepts more genuine pairs than the cosine does at the same FAR."
    return _against_cosine(evidence, "D1", text, "r")


def d2(evidence: Evidence) -> list[Claim]:
    """DAM-L raises TAR: the same with the regressed discrepancy."""
    text = "DAM with the learned discrepancy (DAM-L) accepts more genuine pairs than the cosine does at the same FAR."
    return _against_cosine(evidence, "D2", text, "l")


def d3(evidence: Evidence) -> list[Claim]:
    """The kind of anchors matters little: TAR of the worst kind less that of the best one, margin 0.5 points (Table 4)."""
    text = "What the anchors are made of changes DAM-R's TAR by no more than half a point."
    found: list[Claim] = []
    for network, entries in by_network(evidence, "dam").items():
        first = entries[0]
        alike = [each for each in entries if (each.form, each.setting) == (first.form, first.setting)]
        kinds: dict[str, Scored] = {}
        for entry in alike:
            kinds.setdefault(entry.anchors.kind, entry)
        if len(kinds) > 1:
            columns = [f"{entry.name}:r" for entry in kinds.values()]
            about = "; ".join(entry.words for entry in kinds.values())
            note = f"A is the worst and B the best of each resample, which favours B: {about}."

            def measured(measure: str, columns: list[str] = columns) -> Results:
                return compare_extremes(evidence, columns, measure, MARGIN)

            found += _at_rates(evidence, "D3", text, network, measured, note)
    what = "no network has DAM scores with two kinds of anchors and the same k, s and form"
    return found or [Claim("D3", text, nowhere(evidence, what))]


def d4(evidence: Evidence) -> list[Claim]:
    """k = 10, s = 1 are best: their TAR less the best one of the sweep of k and s, margin 0.5 points (Fig. 4)."""
    text = "k = 10 and s = 1 lose no more than half a point of TAR against the best k or s of the sweep."
    found: list[Claim] = []
    for network, entries in by_network(evidence, "dam_sweep").items():
        for entry in entries:
            swept = [
                column for column in evidence.kinds if column.startswith(tuple(f"{entry.name}:{x}" for x in VARIED))
            ]
            ours = _papers_column(entry)
            if ours in swept and len(swept) > 1:
                note = (
                    f"{entry.words}, one of the two varied at a time; B is the best of each resample, which favours B."
                )

                def measured(measure: str, ours: str = ours, swept: list[str] = swept) -> Results:
                    return compare(evidence, [ours], swept, measure, MARGIN)

                found += _at_rates(evidence, "D4", text, network, measured, note)
                break
    what = "no score of kind dam_sweep has a column with k = 10 and s = 1 and another beside it"
    return found or [Claim("D4", text, nowhere(evidence, what))]


CLAIMS = (d1, d2, d3, d4)


def _against_cosine(evidence: Evidence, name: str, text: str, part: str) -> list[Claim]:
    found: list[Claim] = []
    for network, entries in by_network(evidence, "dam").items():
        cosine, entry = cosine_of(evidence, network), entries[0]
        if cosine is not None:
            others = [each.name for each in entries[1:]]
            chosen = f" Chosen before {', '.join(others)}: the paper's form, kind, k and s first." if others else ""

            def measured(measure: str, ours: str = f"{entry.name}:{part}", cosine: str = cosine) -> Results:
                return compare(evidence, [ours], [cosine], measure)

            found += _at_rates(evidence, name, text, network, measured, f"{entry.words}.{chosen}")
    return found or [Claim(name, text, nowhere(evidence, f"{NO_ANCHORS} beside the cosine of the same network"))]


def _at_rates(
    evidence: Evidence, name: str, text: str, network: str, measured: Callable[[str], Results], note: str
) -> Iterator[Claim]:
    """A claim for each FAR that some protocol tells."""
    for rate in evidence.rates:
        results = measured(f"{TAR}{rate:g}")
        if any(isinstance(result, Measured) for result in results.values()):
            yield Claim(f"{name}-{network}-{rate:g}", text, results, note)


def by_network(evidence: Evidence, kind: str) -> dict[str, list[Scored]]:
    """The entries of a kind by network, the paper's choice first: the sum, real anchors, its k and s."""
    found: dict[str, list[Scored]] = {}
    for name, entry in evidence.scored.items():
        anchors = evidence.anchors.get(entry.with_.rpartition("/")[2])
        if entry.kind == kind and anchors is not None:
            scored = Scored(name, entry.own.get("form", "sum"), entry.with_.rpartition("/")[2], anchors)
            found.setdefault(anchors.network, []).append(scored)
    for entries in found.values():
        entries.sort(key=_order)
    return found


def _order(entry: Scored) -> tuple[object, ...]:
    is_papers = entry.form == "sum", entry.anchors.kind == "real", entry.setting == (SCALE, NUM_NEIGHBOURS)
    return *(not each for each in is_papers), entry.name


def cosine_of(evidence: Evidence, network: str) -> str | None:
    """The column of a network's cosine."""
    columns = (name for name, kind in evidence.kinds.items() if kind == "cosine" and name.rpartition(":")[2] == network)
    return next(columns, None)


def _papers_column(entry: Scored) -> str:
    """The column of a sweep that has the paper's k and s; empty where its anchors have neither of them."""
    scale, num_neighbours = entry.setting
    if scale == SCALE:
        return f"{entry.name}:k={NUM_NEIGHBOURS}"
    return f"{entry.name}:s={SCALE:g}" if num_neighbours == NUM_NEIGHBOURS else ""
