"""Who hangs together: the parts of a graph, and folds of whole parts."""

from collections.abc import Iterable

from pipeline_lib.core.errors import DataError


def components(names: Iterable[str], edges: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first name (in order of text) of each name's connected component.

    Args:
        names: all of them, those without an edge too.
        edges: pairs of names.
    """
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]  # halves the path for those who come after
        return name

    for a, b in edges:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {name: root(name) for name in parent}


def deal_folds(pairs: Iterable[tuple[str, str]], num_folds: int) -> list[int]:
    """The fold of each pair of people, from 0: whole components where there are at least two, so that nobody is in two folds.

    Components are dealt by falling number of pairs to the fold with the fewest; of one component that holds everybody,
    people are dealt in turn, a pair is in the fold of its first, and people recur.

    Args:
        pairs: the two people of each.
        num_folds: at most; as many as there are components, or people.

    Raises:
        DataError: there is one person only.
    """
    listed = list(pairs)
    people = sorted({name for pair in listed for name in pair})
    if len(people) < 2:
        raise DataError("The pairs are of one person; folds need two.", got=people)
    part_of = components(people, listed)
    sizes = dict.fromkeys(sorted(set(part_of.values())), 0)
    for a, _ in listed:
        sizes[part_of[a]] += 1
    if len(sizes) == 1:
        fold_of = {name: i % min(num_folds, len(people)) for i, name in enumerate(people)}
        return [fold_of[a] for a, _ in listed]
    loads = [0] * min(num_folds, len(sizes))
    fold = {}
    for part in sorted(sizes, key=lambda name: (-sizes[name], name)):
        fold[part] = loads.index(min(loads))
        loads[fold[part]] += sizes[part]
    return [fold[part_of[a]] for a, _ in listed]
