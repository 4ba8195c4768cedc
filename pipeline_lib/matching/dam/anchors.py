"""The anchor set of DAM: one image of each training identity (the paper's real-db, section 3.2)."""

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

ANCHORS_FILE = "anchors.arrow"
ABOUT = "about"  # key of the schema's metadata


@dataclass(frozen=True)
class Anchors:
    """A strangers, and the G that is measured with them.

    Attributes:
        image_ids, identities: of each; identities are unique.
        vectors: unit vectors, float32 (A, D).
        network: whose embeddings they are.
        scale, num_neighbours: s and k of G (DAM, eq. 3).
    """

    image_ids: list[str]
    identities: list[str]
    vectors: Floats
    network: str
    scale: float
    num_neighbours: int

    def of(self, identities: Sequence[str]) -> npt.NDArray[np.int64]:
        """The anchor of each identity, int64; -1 where it has none."""
        where = {identity: row for row, identity in enumerate(self.identities)}
        return np.array([where.get(identity, -1) for identity in identities], dtype=np.int64)


def choose_anchors(
    identities: Sequence[str], allowed: npt.NDArray[np.bool_], max_anchors: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Rows of the anchors: one image drawn from each identity, then at most `max_anchors` of the identities.

    Args:
        identities: N, of each image.
        allowed: bool (N,), images that may be anchors: clean ones of the training split.
        max_anchors: upper bound; 50,000 in the paper.
        rng: draws the images, then the identities kept; the identities are gone through by name.

    Returns:
        int64 (A,), ascending.

    Raises:
        DataError: no image is allowed.
    """
    rows_of: dict[str, list[int]] = {}
    for row in np.flatnonzero(allowed).tolist():
        rows_of.setdefault(identities[row], []).append(row)
    if not rows_of:
        raise DataError("No image can be an anchor.", allowed="clean images of the train split")
    names = sorted(rows_of)
    drawn = np.array([rows_of[name][rng.integers(len(rows_of[name]))] for name in names], dtype=np.int64)
    if len(drawn) > max_anchors:
        drawn = drawn[rng.choice(len(drawn), max_anchors, replace=False)]
    return np.sort(drawn)


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


def write_anchors(path: Path, anchors: Anchors) -> None:
    """Write the anchors as an Arrow file."""
    dim = anchors.vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(unit(anchors.vectors)).reshape(-1))
    columns = {
        "image_id": pa.array(anchors.image_ids, pa.string()),
        "identity": pa.array(anchors.identities, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(flat, dim),
    }
    about = {"network": anchors.network, "scale": anchors.scale, "num_neighbours": anchors.num_neighbours}
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
