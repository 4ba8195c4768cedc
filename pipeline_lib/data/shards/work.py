"""The folder in which a set of shards gathers until it is whole; what is in it outlives a kill."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline_lib
from pipeline_lib.core.files import sha256_file
from pipeline_lib.core.progress import log
from pipeline_lib.data.shards.writer import shard_name

if TYPE_CHECKING:
    import pyarrow as pa

CODE = ("core", "params", "schemas", "data")  # the wings that a stage which writes shards runs


@dataclass(frozen=True)
class Work:
    """Shards, and the tables of each unit, of one output.

    Args:
        folder: an absolute path that all workers see.
        prefix: how the shards' names begin.
        sets: names of the sets, each of which has a shard a unit.
    """

    folder: Path
    prefix: str
    sets: tuple[str, ...]

    @property
    def partial(self) -> Path:
        """Where files are until they are whole."""
        return self.folder / "partial"

    @property
    def sets_folder(self) -> Path:
        """Where each set has a folder."""
        return self.folder / "sets"

    def shards(self, name: str) -> Path:
        """The folder of a set's shards."""
        return self.sets_folder / name

    def shard(self, name: str, number: int) -> Path:
        """A unit's shard of a set; there is none where it has no sample."""
        return self.shards(name) / shard_name(self.prefix, number)

    def index(self, name: str, number: int) -> Path:
        """Its rows of the set's index: written after the shard."""
        return self.folder / "indices" / name / f"{number:06d}.parquet"

    def rows(self, number: int) -> Path:
        """A unit's rows of the table beside the shards: written last."""
        return self.folder / "rows" / f"{number:06d}.parquet"

    def is_done(self, number: int) -> bool:
        """Whether a unit is whole."""
        return all(file.exists() for file in (*(self.index(name, number) for name in self.sets), self.rows(number)))

    def join_index(self, name: str, num_units: int, path: Path) -> None:
        """Write the index of a set (schemas.shard_index.SHARD_INDEX)."""
        from pipeline_lib.core.tables import join_tables
        from pipeline_lib.schemas.shard_index import SHARD_INDEX

        join_tables([self.index(name, number) for number in range(num_units)], path, SHARD_INDEX)

    def join_rows(self, num_units: int, path: Path, schema: "pa.Schema") -> None:
        """Write the table beside the shards."""
        from pipeline_lib.core.tables import join_tables

        join_tables([self.rows(number) for number in range(num_units)], path, schema)

    def finish(self, outputs: Mapping[Path, Path]) -> None:
        """Let files and folders of this folder become outputs, in the place of what is there, and remove the rest.

        Args:
            outputs: what is here -> where it goes; a folder that is not here was to have no shards, and is empty.
        """
        for tables in ("indices", "rows"):  # first, for no unit whose shard has moved may count as whole
            shutil.rmtree(self.folder / tables, ignore_errors=True)
        for here, out in outputs.items():
            out.parent.mkdir(parents=True, exist_ok=True)
            if not here.exists():
                here.mkdir(parents=True)
            if out.is_dir():
                shutil.rmtree(out)
            here.replace(out)
        shutil.rmtree(self.folder)


def open_work(
    out: Path, prefix: str, sets: Sequence[str], settings: Mapping[str, object], inputs: Sequence[Path]
) -> Work:
    """The folder in which the shards of an output gather: beside it, where DVC, which deletes outputs before it runs a stage,
    leaves it alone, and on the same disk, so that whole shards need only be renamed in the end.

    Units that an earlier run finished stay where settings, inputs and the code (CODE) are the same, else the folder is emptied.

    Args:
        out: the output.
        prefix, sets: see Work.
        settings: all else that decides what is written, JSON.
        inputs: files that do so by their content, such as the index of shards that are read.
    """
    folder = out.absolute().with_name(f".{out.name}.work")
    root = Path(pipeline_lib.__file__).parent
    code = {str(file.relative_to(root)): sha256_file(file) for wing in CODE for file in (root / wing).rglob("*.py")}
    decided = [prefix, list(sets), settings, [sha256_file(file) for file in inputs], code]
    key = hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
    written = folder / "key"
    if folder.exists() and not (written.exists() and written.read_text() == key):
        log.info("what a stopped run left of %s is of other settings, inputs or code: starting anew", out)
        shutil.rmtree(folder)
    work = Work(folder, prefix, tuple(sets))
    shutil.rmtree(work.partial, ignore_errors=True)  # what killed workers left
    folder.mkdir(parents=True, exist_ok=True)
    written.write_text(key)
    return work
