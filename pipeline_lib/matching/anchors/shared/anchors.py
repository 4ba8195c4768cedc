"""A set of anchors, and its file."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.cosine import Floats, unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_file
from pipeline_lib.networks.embeddings.store import read_weights_digest

ANCHORS_FILE = "anchors.arrow"
ABOUT = "about"  # key of the schema's metadata
SAID = ("network", "scale", "num_neighbours", "kind", "weights_digest")


@dataclass(frozen=True)
class Anchors:
    """A strangers, and the G that is measured with them.

    Attributes:
        image_ids, identities: of each; identities are unique.
        vectors: unit vectors, float32 (A, D).
        network: whose embeddings they are.
        scale, num_neighbours: s and k of G (DAM, eq. 3).
        kind: of matching/anchors.
        weights_digest: of the network's state that made the vectors (checkpoints.weights_digest).
    """

    image_ids: list[str]
    identities: list[str]
    vectors: Floats
    network: str
    scale: float
    num_neighbours: int
    kind: str
    weights_digest: str

    def of(self, identities: Sequence[str]) -> npt.NDArray[np.int64]:
        """The anchor of each identity, int64; -1 where it has none."""
        where = {identity: row for row, identity in enumerate(self.identities)}
        return np.array([where.get(identity, -1) for identity in identities], dtype=np.int64)


def check_strangers(anchors: Anchors, identities: Collection[str]) -> None:
    """Refuse anchors who are among the people verified: DAM would know them (METHODS, section 6).

    Args:
        identities: of all images that DAM is to score.

    Raises:
        DataError: names the identities.
    """
    shared = sorted(set(anchors.identities) & set(identities))
    if shared:
        raise DataError("Anchors share identities with the images they are to judge.", got=shared[:10], allowed="none")


def check_state(anchors: Anchors, embedded: Path) -> None:
    """Refuse anchors of another state of the network than the embeddings below `embedded` are of: cosines between the two say
    nothing.

    Raises:
        DataError: they are, or the embeddings do not say it.
    """
    digest = read_weights_digest(embedded)
    if digest != anchors.weights_digest:
        problem = f"The anchors are of another state of {anchors.network} than the embeddings; run build_anchors again."
        raise DataError(problem, got=anchors.weights_digest, allowed=digest, where=embedded)


def write_anchors(path: Path, anchors: Anchors) -> None:
    """Write the anchors as an Arrow file."""
    dim = anchors.vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(unit(anchors.vectors)).reshape(-1))
    columns = {
        "image_id": pa.array(anchors.image_ids, pa.string()),
        "identity": pa.array(anchors.identities, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(flat, dim),
    }
    about = {name: getattr(anchors, name) for name in SAID}
    table = pa.table(columns, metadata={ABOUT: json.dumps(about)})
    with atomic_file(path) as partial, pa.ipc.new_file(partial, table.schema) as writer:
        writer.write_table(table)


def read_anchors(path: Path) -> Anchors:
    """Read what write_anchors wrote.

    Raises:
        DataError: the file is missing, truncated, or has other columns.
    """
    try:
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_file(source).read_all()
            flat = table.column("vector").combine_chunks().flatten().to_numpy(zero_copy_only=False).copy()
            names = table.column("image_id").to_pylist(), table.column("identity").to_pylist()
            about = json.loads(table.schema.metadata[ABOUT.encode()])
            anchors = Anchors(*names, flat.reshape(len(names[0]), -1), **about)
    except FileNotFoundError:
        raise DataError("The anchor file is missing; run the build_anchors stage.", where=path) from None
    except (pa.ArrowInvalid, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError("The anchor file is damaged; rerun the build_anchors stage.", got=error, where=path) from error
    return anchors
