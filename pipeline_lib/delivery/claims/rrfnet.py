"""RRFNet (Ozturk et al., Restricted Receptive Fields for Face Verification): claims R1 to R5, of verification."""

from collections.abc import Iterator, Sequence

from pipeline_lib.delivery.claims.claim import Claim
from pipeline_lib.delivery.claims.evidence import Evidence
from pipeline_lib.delivery.claims.networks import Trained
from pipeline_lib.delivery.claims.pairs import compare, nowhere
from pipeline_lib.params.networks import Patches

PAPER = "RRFNet"
LAYOUTS = {56: "cross5", 28: "no_corners33"}  # what the paper reports (Table V, section IV-B)
FIELDS_PX = {56: 33, 28: 17}  # BagNet's, beside each patch size
MASK_SHARES = (0.2, 0.4)
# The paper reports 20, 40 and 0 % side by side (Table III) and calls none its own; the middle one first, whatever came of it.
MASK_ORDER = (0.2, 0.4, 0.0)
MARGIN = 0.02  # of accuracy, what "competitive" may lose


def r1(evidence: Evidence) -> list[Claim]:
    """56 px patches beat the whole face: AUC of RRFNet-56 less that of the plain network, ArcFace's head and the same budget."""
    text = "A network that sees a face only in patches of 56 px tells people apart better than one that sees the whole face."
    return [_against_whole_face(evidence, "R1", text, 56)]


def r2(evidence: Evidence) -> list[Claim]:
    """28 px patches are competitive: accuracy of RRFNet-28 less that of the plain network, margin 2 points; AUC beside it."""
    text = (
        "With patches of 28 px a network loses no more than 2 points of accuracy against one that sees the whole face."
    )
    return [_against_whole_face(evidence, "R2", text, 28, "accuracy", MARGIN, "AUC")]


def r3(evidence: Evidence) -> list[Claim]:
    """Masking patches in training helps: the better of 20 and 40 % less none, for each patch size."""
    return [_masked(evidence, side_px) for side_px in LAYOUTS]


def r4(evidence: Evidence) -> list[Claim]:
    """Both region sizes beat either: AUC of the regions of 28 and 56 px together less the better of each size alone."""
    text = "Region networks of 28 and of 56 px together verify better than those of either size alone."
    entries = {name.rpartition(":")[0] for name, kind in evidence.kinds.items() if kind == "regions"}
    parts = ("28_56", "28", "56")
    whole = [entry for entry in sorted(entries) if all(f"{entry}:{part}" in evidence.kinds for part in parts)]
    if not whole:
        return [Claim("R4", text, nowhere(evidence, "no score of kind regions has 28, 56 and both together"))]
    both, *either = (f"{whole[0]}:{part}" for part in parts)
    others = f" {whole[0]} is the first of {', '.join(whole)}." if len(whole) > 1 else ""
    note = f"B is the better size of each resample, which favours B.{others}"
    return [Claim("R4", text, compare(evidence, [both], either), note)]


def r5(evidence: Evidence) -> list[Claim]:
    """RRFNet beats BagNet: AUC of RRFNet-56 less that of BagNet-33, of RRFNet-28 less that of BagNet-17."""
    return [_against_bagnet(evidence, side_px) for side_px in LAYOUTS]


CLAIMS = (r1, r2, r3, r4, r5)


def _against_whole_face(
    evidence: Evidence,
    name: str,
    text: str,
    side_px: int,
    measure: str = "AUC",
    margin: float = 0.0,
    beside: str | None = None,
) -> Claim:
    candidates = rrf_networks(evidence, side_px)
    plain = [other for other in evidence.networks if other.patches is None and other.head == "arcface"]
    for ours, patches in candidates:
        for other in plain:
            if ours.same_budget(other):
                found = compare(evidence, [ours.column], [other.column], measure, margin, beside)
                return Claim(name, text, found, _choice(ours, patches, len(candidates)))
    wanted = f"network on the whole face with ArcFace's head and the layers and training of {_names(candidates)}"
    return Claim(name, text, nowhere(evidence, f"there is no {wanted}" if candidates else no_rrfnet(side_px)))


def _masked(evidence: Evidence, side_px: int) -> Claim:
    name = f"R3-{side_px}"
    text = f"Masking a share of the {side_px} px patches in training makes the network better."
    candidates = rrf_networks(evidence, side_px)
    for ours, patches in candidates:
        for mode in ("drop", "zero") if not patches.mask_share else ():
            wanted = [patches.model_copy(update={"mask_share": share, "mask_mode": mode}) for share in MASK_SHARES]
            columns = {
                theirs.mask_share: other.column
                for other, theirs in candidates
                if theirs in wanted and other.same_budget(ours)
            }
            if len(columns) == len(MASK_SHARES):
                note = "A is the better share of each resample, which favours the claim."
                found = compare(evidence, list(columns.values()), [ours.column])
                return Claim(name, text, found, note + _layout(patches))
    shares = sorted({patches.mask_share for _, patches in candidates})
    there = f" (there: {', '.join(f'{100 * share:g} %' for share in shares)})" if shares else " (there is none)"
    missing = f"RRFNet-{side_px} is needed with 0, 20 and 40 % of its patches masked and otherwise alike{there}"
    return Claim(name, text, nowhere(evidence, missing))


def _against_bagnet(evidence: Evidence, side_px: int) -> Claim:
    name, field_px = f"R5-{side_px}", FIELDS_PX[side_px]
    text = f"Patches of {side_px} px (RRFNet-{side_px}) verify better than BagNet's fields of {field_px} px (BagNet-{field_px})."
    candidates = rrf_networks(evidence, side_px)
    bagnets = [
        other
        for other in evidence.networks
        if other.arch == "bagnet" and other.patches is None and other.shape["field_px"] == field_px
    ]
    # Blocks of the two kinds are not the same thing (the paper's ResNet-50s have 3-4-6-3 and 3-4-14-3): equal ones come first.
    for but, remark in (({"arch"}, ""), ({"arch", "blocks"}, " The two differ in their numbers of blocks.")):
        for ours, patches in candidates:
            for other in bagnets:
                if ours.same_budget(other, but):
                    found = compare(evidence, [ours.column], [other.column])
                    return Claim(name, text, found, _choice(ours, patches, len(candidates)) + remark)
    if not candidates:
        return Claim(name, text, nowhere(evidence, no_rrfnet(side_px)))
    missing = f"there is no BagNet-{field_px} with the width, embedding and training of {_names(candidates)}"
    return Claim(name, text, nowhere(evidence, missing))


def rrf_networks(evidence: Evidence, side_px: int) -> list[tuple[Trained, Patches]]:
    """The RRFNets of a patch size, the paper's choice first: IResNet, its layout, mask shares in MASK_ORDER, dropped patches."""

    def order(item: tuple[Trained, Patches]) -> tuple[object, ...]:
        network, patches = item
        unusual = patches.mask_share not in MASK_ORDER
        place = patches.mask_share if unusual else MASK_ORDER.index(patches.mask_share)
        layout, mode = patches.layout != LAYOUTS[side_px], patches.mask_mode != "drop"
        return network.arch != "iresnet", layout, unusual, place, mode, network.name

    return sorted(_with_patches(evidence.networks, side_px), key=order)


def _with_patches(networks: Sequence[Trained], side_px: int) -> Iterator[tuple[Trained, Patches]]:
    for network in networks:
        if network.patches is not None and network.patches.side_px == side_px:
            yield network, network.patches


def _choice(network: Trained, patches: Patches, num_candidates: int) -> str:
    """Which RRFNet stands for all of its patch size, and why."""
    masked = f"{100 * patches.mask_share:g} % of the patches masked in training"
    why = (
        " (the paper reports 20, 40 and 0 % and calls none its own; taken in this order)" if num_candidates > 1 else ""
    )
    return f"{network.name} has {masked}{why}.{_layout(patches)}"


def _layout(patches: Patches) -> str:
    usual = LAYOUTS[patches.side_px]
    return "" if patches.layout == usual else f" The layout is {patches.layout}, the paper's {usual}."


def no_rrfnet(side_px: int) -> str:
    return f"no RRFNet-{side_px} was trained and scored"


def _names(candidates: Sequence[tuple[Trained, Patches]]) -> str:
    return " or ".join(network.name for network, _ in candidates)
