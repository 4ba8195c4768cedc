"""A search's answer in words."""

from collections import Counter

from pipeline_lib.delivery.identify.answer import Candidate, Identification

CAVEAT = (
    "A first place is not an identification: a gallery always has a nearest face, and relatives and people of one age and origin "
    "score higher than others. A person decides, with the photographs in view."
)
LEAST_SHARE = 1e-5  # what is printed
NAMED = 8  # unusable photographs that a terminal is told of


def headline(found: Identification) -> str:
    """Who it is, or that it is nobody in the gallery."""
    if found.name is None:
        return "Nobody in the gallery: no face in it is alike enough."
    return f"Most like {found.name}, and alike enough."


def rate(found: Identification) -> str:
    """What the threshold rests on."""
    line, num = found.limit, f"{found.num_photographs:,} photographs"
    if line.bound is None:
        return (
            f"Above the threshold {line.threshold:.3f} comes {percent(line.fpir)} of the people who are not in a gallery of "
            f"{num} (false-positive identification rate). Of single pairs of two people {100 * line.fmr:.2g} % do, {found.basis}."
        )
    return (
        f"The model's pairs of two people, {found.basis}, are too few to tell what happens {percent(line.fpir)} of the time in a "
        f"gallery of {num}. The threshold {line.threshold:.3f} is the highest score among them; of the people who are not in the "
        f"gallery less than {percent(line.bound)} come above it (95 %)."
    )


def strangers(one: Candidate) -> str:
    """How often a stranger would score so high."""
    if one.stranger_share < LEAST_SHARE:
        return f"< {percent(LEAST_SHARE)}"
    return f"{'≤ ' if one.stranger_share < 0.995 else ''}{percent(one.stranger_share)}"


def percent(share: float) -> str:
    """A share in per cent, to two digits."""
    return f"{100 * share:.2g} %" if share < 0.995 else "100 %"


def unused(found: Identification) -> str:
    """What of the gallery could not be used, in one sentence; empty where all could."""
    if not found.unusable:
        return ""
    reasons = Counter(one.reason.replace("_", " ") for one in found.unusable)
    counts = ", ".join(
        f"{reason} {count}" for reason, count in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    )
    return f"Not used: {len(found.unusable)} of the gallery's photographs and folders ({counts})."


def other_files(found: Identification) -> str:
    """What lay beside the photographs; empty where nothing did."""
    others = ", ".join(f"{kind} {count}" for kind, count in sorted(found.left_out.items()))
    return f"Left out, as their names are no photographs': {others}." if others else ""


def order(found: Identification) -> str:
    """What the order is by, where it is not by the similarity alone; else empty."""
    return (
        "The first places are ordered by patches of the faces, too; the threshold is the similarity's."
        if found.reranked
        else ""
    )


def as_text(found: Identification) -> str:
    """For a terminal."""
    width = max(len("name"), *(len(one.name) for one in found.candidates))
    rows = [
        f"  {one.rank:>4}  {one.similarity:>10.3f}  {strangers(one):>9}  {one.name:<{width}}  {one.photograph}"
        for one in found.candidates
    ]
    told = [f"  {one.key}: {one.reason.replace('_', ' ')} ({one.detail})" for one in found.unusable[:NAMED]]
    if len(found.unusable) > NAMED:
        told.append(f"  and {len(found.unusable) - NAMED} more (--json lists all)")
    sentences = [order(found), unused(found), *told, other_files(found)]
    return "\n".join(
        [
            headline(found),
            "",
            f"  {'rank':>4}  {'similarity':>10}  {'strangers':>9}  {'name':<{width}}  photograph",
            *rows,
            "",
            f"Gallery: {found.num_people:,} people, {found.num_photographs:,} photographs. {rate(found)}",
            "Strangers: how many of a hundred people who are not in the gallery score as high with somebody in it.",
            *(sentence for sentence in sentences if sentence),
            "",
            CAVEAT,
            *([found.note] if found.note else []),
            f"Model: {found.model}, score {found.score}",
        ]
    )
