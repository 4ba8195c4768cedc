"""What an entry of `scores` reads: the folders that it names, and the pairs."""

from dataclasses import dataclass
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.scores.shared.pairs import PairSet, read_pairs
from pipeline_lib.networks.embeddings.folders import embedding_folders
from pipeline_lib.params.scores import Score


@dataclass(frozen=True)
class Reads:
    """An entry's inputs.

    Attributes:
        of: the folder that is scored (align, embed, embed/<network>, region_embeddings).
        with_: what else is read, or the file data/none.
        aligned: the align stage's folder.
        pairs: those that are scored.
    """

    of: Path
    with_: Path
    aligned: Path
    pairs: PairSet

    @property
    def networks(self) -> dict[str, Path]:
        """The folder of each embedded network: `of` itself, or those in it, by name."""
        return embedding_folders(self.of)

    def one_network(self) -> str:
        """The network that `of` holds the embeddings of.

        Raises:
            DataError: it holds those of none, or of several.
        """
        found = list(self.networks)
        if len(found) != 1:
            raise DataError("This score is of one network.", got=found, allowed="of: embed/<network>", where=self.of)
        return found[0]


def reads_below(data: Path, entry: Score) -> Reads:
    """What an entry reads, below a rebuild's data folder; raises DataError as read_pairs."""
    pairs = read_pairs(data / "ingest" / "pairs.parquet", data / "align")
    return Reads(data / entry.of, data / entry.with_, data / "align", pairs)
