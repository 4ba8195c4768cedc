"""The maps of explained pairs on disk, pair by pair: memory holds one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.schemas.maps import MAPS
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair

if TYPE_CHECKING:  # maps are read where no network is, and so no torch
    from pipeline_lib.why.explanation.shared.explanation import Explanation


class MapWriter:
    """Appends explained pairs to an open Arrow file of schemas.maps.MAPS; see open_maps."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, pair: SampledPair, explanation: "Explanation", picture: str | None = None) -> None:
        """Append one pair; `picture`: the name of its picture, where one is drawn."""
        terms, boxes = explanation.terms, explanation.boxes
        row = {
            "protocol": pair.protocol,
            "image_a": pair.image_a,
            "image_b": pair.image_b,
            "genuine": pair.genuine,
            "score": explanation.score,
            "map_a": explanation.maps[0].reshape(-1),
            "map_b": explanation.maps[1].reshape(-1),
            "confidence": explanation.confidence,
            "terms": None if terms is None else terms.reshape(-1),
            "boxes": None if boxes is None else boxes.tolist(),
            "picture": picture,
        }
        self._file.write_batch(pa.RecordBatch.from_pylist([row], schema=MAPS))


@contextmanager
def open_maps(path: Path) -> Iterator[MapWriter]:
    """A writer of `path`, which appears when the block ends."""
    with atomic_file(path) as partial, pa.ipc.new_file(partial, MAPS) as file:
        yield MapWriter(file)


def read_maps(path: Path) -> pa.Table:
    """A table of schemas.maps.MAPS, memory-mapped.

    Raises:
        DataError: the file is missing, truncated, or holds something else.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
    except FileNotFoundError:
        raise DataError("A file of maps is missing; run the explain stage.", where=path) from None
    except pa.ArrowInvalid as error:
        raise DataError("A file of maps is truncated or no Arrow file.", got=error, where=path) from error
    if table.schema != MAPS:
        raise DataError("A file of maps has other columns.", got=table.schema.names, allowed=MAPS.names, where=path)
    return table
