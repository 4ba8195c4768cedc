"""Which candidates a study shows: balanced over their sorts, no photograph twice."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from pipeline_lib.why.study.candidates import Candidate
from pipeline_lib.why.study.design import CELLS, Cell, allotment


def choose(candidates: Sequence[Candidate], num: int, taken: AbstractSet[str]) -> list[Candidate]:
    """`num` pairs as design.allotment balances them, in the order of CELLS; of one photograph there is one pair at most.

    The rarest sort is chosen first. Where photographs in use leave a sort short of its allotment, what it lacks is allotted anew.

    Args:
        candidates: to choose from, in a drawn order; of each sort the first ones are taken.
        num: how many.
        taken: image ids that are shown elsewhere in the study.

    Raises:
        DataError: so many pairs without a common photograph were not found.
    """
    of_cell: dict[Cell, list[Candidate]] = {cell: [] for cell in CELLS}
    for candidate in candidates:
        of_cell[candidate.cell].append(candidate)
    room = {cell: len(found) for cell, found in of_cell.items()}
    rarest_first = sorted(CELLS, key=room.__getitem__)
    while True:
        wanted = allotment(num, room)
        chosen, used = dict[Cell, list[Candidate]](), set(taken)
        for cell in rarest_first:
            chosen[cell] = _fresh(of_cell[cell], wanted[cell], used)
        short = {cell: len(found) for cell, found in chosen.items() if len(found) < wanted[cell]}
        if not short:
            return [candidate for cell in CELLS for candidate in chosen[cell]]
        room |= short


def _fresh(candidates: Sequence[Candidate], num: int, used: set[str]) -> list[Candidate]:
    """The first `num` candidates without a photograph in `used`, to which theirs are added; fewer if there are not so many."""
    found: list[Candidate] = []
    for candidate in candidates:
        if len(found) == num:
            break
        if not used & candidate.photographs:
            used |= candidate.photographs
            found.append(candidate)
    return found
