"""The networks that a score has a column of."""

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.scores.shared.reads import Reads
from pipeline_lib.matching.scores.shared.scorer import ScoreSettings


class OfNetworks(ScoreSettings):
    """`networks`: those of `of` that get a column; null for all that are embedded there."""

    networks: list[str] | None = None


def chosen_networks(settings: OfNetworks, reads: Reads) -> list[str]:
    """Their names, in the order of the settings, or of the folders.

    Raises:
        DataError: one that is named is not embedded.
    """
    embedded = list(reads.networks)
    chosen = embedded if settings.networks is None else settings.networks
    missing = [name for name in chosen if name not in embedded]
    if missing:
        raise DataError("A network is not embedded.", got=missing, allowed=embedded, where=reads.of)
    return chosen
