"""The scale for who names none: the usual one or, where people are too few to train on, the one that trains nothing."""

from pathlib import Path

from pipeline_lib.check_photos import (
    UNTRAINED,
    can_do_untrained,
    check_numbers,
    check_pairs,
    count_people,
    listed_sources,
)
from pipeline_lib.data.sources.shared.splits import TooFewPeople
from pipeline_lib.params.whole import Params


def fitting_scale(usual: str, params: Params, folder: Path) -> tuple[str, str]:
    """The scale to take, and why it is another one than `usual` (empty where it is not).

    Args:
        usual: the scale that `params` is composed with.
        params: of params.yaml; a data group without published networks is left to `usual`, whose check says what is missing.
        folder: see check_photos.

    Raises:
        DataError: what is wrong with the photographs at any scale (see check_photos).
        TooFewPeople: they are too few even to tell them apart.
    """
    sources = listed_sources(params, folder)
    if sources is None:
        return usual, ""
    try:
        check_numbers(params, sources)
    except TooFewPeople as error:
        if not can_do_untrained(params):
            raise
        people = count_people(name for _, faces in sources for name in faces.photos.column("identity"))
        check_pairs(people, f"ingest.root: {params.ingest.root}")
        published = ", ".join(name for name, network in params.networks.items() if not network.epochs)
        return UNTRAINED, (
            f"{people.num} people ({people.num_photos} photographs) are too few to train on. With scale={usual}:\n"
            f"{_indented(str(error))}\n"
            f"So scale={UNTRAINED} is taken: published networks as they are ({published}), every person to judge and calibrate "
            "on. Left out are training and what stands on it: region networks, DAM, re-ranking, explanations. "
            f"SCALE={usual} insists on training."
        )
    return usual, ""


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
