"""Scores of several networks' embeddings."""

from typing import Annotated

from pydantic import Field

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import ScoreSettings


class OfSeveral(ScoreSettings):
    """`networks`: two or more of those that are embedded in `of`."""

    networks: Annotated[list[str], Field(min_length=2)]


def chosen_several(settings: OfSeveral, reads: Reads) -> tuple[str, ...]:
    """Their names.

    Raises:
        ParamsError: one is named twice.
        DataError: one is not embedded.
    """
    chosen = tuple(settings.networks)
    if len(set(chosen)) < len(chosen):
        raise ParamsError("A score counts a network twice.", got=", ".join(chosen), allowed="each once")
    missing = [name for name in chosen if name not in reads.networks]
    if missing:
        raise DataError("A network is not embedded.", got=missing, allowed=list(reads.networks), where=reads.of)
    return chosen
