"""The plan of a study: how many pairs of each sort, in which part of a form, and by which method on which form."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple, TypeVar, get_args

from pipeline_lib.core.errors import DataError

T = TypeVar("T")
Occlusion = Literal["none", "mask", "sunglasses"]
OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)


class Cell(NamedTuple):
    """A sort of pair: of one person or not, what covers one of its faces, and whether every network in use decides it rightly."""

    genuine: bool
    occlusion: str
    model_right: bool

    def __str__(self) -> str:
        kind, right = "genuine" if self.genuine else "impostor", "right" if self.model_right else "wrong"
        return f"{kind}, occlusion {self.occlusion}, model {right}"


CELLS = tuple(Cell(*values) for values in product((True, False), OCCLUSIONS, (True, False)))


def even_shares(num: int, room: Sequence[int]) -> list[int]:
    """Share `num` things out one by one, each to the place that has fewest and still has room, of several the first.

    Args:
        num: <= sum(room).
        room: how many each place takes, >= 0.
    """
    assert num <= sum(room), "allotment refuses more than there is room for"
    shares = [0] * len(room)
    for _ in range(num):
        places = [place for place, most in enumerate(room) if shares[place] < most]
        shares[min(places, key=shares.__getitem__)] += 1
    return shares


def allotment(num: int, available: Mapping[Cell, int]) -> dict[Cell, int]:
    """How many pairs of each cell a study of `num` pairs has.

    Genuine and impostor pairs are as even as the data allow; within each the three occlusions; within each of these the pairs
    that the model decides rightly and wrongly. What a cell lacks, its nearest neighbours give, so the first balance goes last.

    Args:
        num: >= 0.
        available: how many pairs there are of each cell of CELLS.

    Raises:
        DataError: there are fewer than `num` pairs in all.
    """
    if num > sum(available.values()):
        got = f"{sum(available.values())} pairs in which no photograph comes twice"
        raise DataError("There are too few pairs for such a study.", got=got, allowed=f"{num}, or fewer --pairs")
    return _allotted(num, [(cell, available[cell]) for cell in CELLS], level=0)


def _allotted(num: int, room: Sequence[tuple[Cell, int]], level: int) -> dict[Cell, int]:
    if level == len(Cell._fields):
        ((cell, _),) = room
        return {cell: num}
    values = list(dict.fromkeys(cell[level] for cell, _ in room))
    groups = [[(cell, most) for cell, most in room if cell[level] == value] for value in values]
    shares = even_shares(num, [sum(most for _, most in group) for group in groups])
    found: dict[Cell, int] = {}
    for group, share in zip(groups, shares, strict=True):
        found |= _allotted(share, group, level + 1)
    return found


def dealt(items: Sequence[T], num_parts: int) -> list[list[T]]:
    """Deal items out like cards, item i to part i mod `num_parts`.

    Of any stretch of `items` two parts so differ by one at most; with pairs in the order of CELLS this holds for genuine and
    impostor pairs, for each occlusion among them, and for each cell.
    """
    return [list(items[part::num_parts]) for part in range(num_parts)]


def latin_square(num: int) -> list[list[int]]:
    """Rows of 0 .. num - 1 in which each number stands once in each row and once in each column (Williams 1949).

    Row g is 0, 1, num - 1, 2, num - 2, ... plus g, modulo num; for an even num, each number follows each other one equally often.
    """
    first = [(place + 1) // 2 if place % 2 else (num - place // 2) % num for place in range(num)]
    return [[(number + row) % num for number in first] for row in range(num)]
