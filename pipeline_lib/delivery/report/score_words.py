"""The scores' columns in words."""

from collections.abc import Mapping

from pipeline_lib.params.scores import Score

BASELINE = "raw_pixel"  # the column that every other must beat

# By kind, of a column <entry>:<part>; {of}: the network whose embeddings the entry scores.
WORDS = {
    "raw_pixel": "raw pixels",
    "cosine": "cosine of {part}",
    "cosine_centred": "mean-centred cosine of {part}",
    "regions": "regions {part} px, weighted",
    "dam": "DAM-{PART} of {of}",
    "dam_sweep": "DAM of {of}, {part}",
    "cohort": "{part}-norm of {of}",
    "emd": "earth mover's distance of {of}",
    "face_vit": "transformer on pairs, {of}",
    "concatenation": "cosine of networks side by side",
    "score_sum": "sum of networks' cosines",
}


def score_words(column: str, scores: Mapping[str, Score]) -> str:
    """A column of the score table in words; the column's own name where its kind has none here.

    Args:
        column: <entry> or <entry>:<part>.
        scores: the section of params. An entry that is not called as its kind has its name in brackets.
    """
    entry, _, part = column.partition(":")
    section = scores.get(entry)
    form = WORDS.get(section.kind) if section is not None else None
    if section is None or form is None or (not part and "{part}" in form.lower()):
        return column
    words = form.format(part=part, PART=part.upper(), of=section.of.partition("/")[2] or section.of)
    return words if entry == section.kind else f"{words} ({entry})"
