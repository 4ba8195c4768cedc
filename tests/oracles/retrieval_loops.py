"""Ranking and its metrics as plain loops over lists, written from the definitions."""


def ranked(query: list[float], gallery: list[list[float]], k: int, excluded: int = -1) -> list[int]:
    """The k gallery rows of highest cosine; equal ones in the order of their rows."""

    def cosine(a: list[float], b: list[float]) -> float:
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / (sum(x * x for x in a) ** 0.5 * sum(y * y for y in b) ** 0.5)

    rows = [row for row in range(len(gallery)) if row != excluded]
    return sorted(rows, key=lambda row: (-cosine(query, gallery[row]), row))[:k]


def metrics(lists: list[list[bool]], num_relevant: list[int]) -> dict[str, float]:
    """P@1, RP, MAP@R over the queries with at least one relevant image."""
    firsts, rps, maps = [], [], []
    for hits, total in zip(lists, num_relevant, strict=True):
        if total == 0:
            continue
        firsts.append(1.0 if hits[0] else 0.0)
        rps.append(sum(hits[:total]) / total)
        precisions = [sum(hits[: rank + 1]) / (rank + 1) for rank in range(total) if hits[rank]]
        maps.append(sum(precisions) / total)
    num = len(firsts)
    return {"p_at_1": sum(firsts) / num, "rp": sum(rps) / num, "map_at_r": sum(maps) / num, "num_queries": num}
