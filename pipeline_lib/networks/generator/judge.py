"""How near fake faces lie to the training faces, and whether one is a copy: nearest neighbours, by embeddings and by pixels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.generator.samples import Floats, smaller
from pipeline_lib.schemas.nearest_faces import (
    FAKE_TO_FAKE,
    FAKE_TO_TRAINING,
    NEAREST_FACES,
    TO_OTHER_PEOPLE,
    TO_OWN_PHOTOGRAPHS,
)

PIXELS_PX = 28  # of the faces whose pixels are compared: finer ones differ by what a copy may blur
ROWS_AT_ONCE = 256  # times all training faces in float32: 100 MB for 100,000
COPY_PERCENTILE = 99.0  # of two photographs of one person
STRANGERS_PERCENTILE = (
    99.9  # of a face and the nearest one of somebody else: by pixels, one pose and one light bring these near
)
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Faces:
    """Training faces or fakes under one measure.

    Args:
        names: N, training images' keys, or fakes' names.
        people: int64 (N,), equal for photographs of one person; nobody asks for fakes'.
        vectors: float32 (N,D) of unit length.
    """

    names: Sequence[str]
    people: Ints
    vectors: Floats


@dataclass(frozen=True)
class Judgement:
    """What one measure says.

    Args:
        table: schemas.nearest_faces.NEAREST_FACES.
        nearest_first: int64, the fakes in the order of their nearness to a training face.
        figures: copy_cosine, the larger of two: the 99th percentile of the cosines of two photographs of one person, and the
            99.9th of those of a drawn training face and the nearest one of another person. What is as near shows the person
            as nearly the same photograph does, and is nearer than people come to each other by chance. person_cosine, the
            median of the former. Fakes: num_copies and num_lookalikes, as near to a training face as these; num_twins, as near
            to another fake as copy_cosine (a generator that collapsed makes such). median.<relation>: of the nearest cosines.
    """

    table: pa.Table
    nearest_first: Ints
    figures: dict[str, float]


def judge(measure: str, fakes: Faces, training: Faces, drawn: Ints) -> Judgement:
    """Hold fakes against the training faces, and both among themselves.

    Args:
        measure: of schemas.nearest_faces.MEASURES.
        fakes: two at least.
        training: all of them; of two people at least, one of them with two photographs at least.
        drawn: int64 (n,), the training faces whose own nearest ones are looked for, for comparison.

    Raises:
        DataError: there are not two people, or nobody has two photographs, so that nothing says what a copy is.
    """
    genuine = own_cosines(training)
    if not len(genuine) or len(np.unique(training.people)) < 2:
        got = f"{len(training.people)} photographs of {len(np.unique(training.people))} people"
        allowed = "two people at least, and two photographs of one of them"
        raise DataError("Fakes can be held against no such training faces.", got=got, allowed=allowed)
    found = _relations(measure, fakes, training, drawn)
    cosines = {relation: table["cosine"].to_numpy() for relation, table in found.items()}
    person_cosine = float(np.percentile(genuine, 50.0))
    strangers = np.percentile(cosines[TO_OTHER_PEOPLE], STRANGERS_PERCENTILE)
    copy_cosine = float(max(np.percentile(genuine, COPY_PERCENTILE), strangers))
    to_training = cosines[FAKE_TO_TRAINING]
    figures = {
        "copy_cosine": copy_cosine,
        "person_cosine": person_cosine,
        "num_copies": float((to_training >= copy_cosine).sum()),
        "num_lookalikes": float((to_training >= person_cosine).sum()),
        "num_twins": float((cosines[FAKE_TO_FAKE] >= copy_cosine).sum()),
        **{f"median.{relation}": float(np.median(values)) for relation, values in cosines.items() if len(values)},
    }
    return Judgement(pa.concat_tables(found.values()), np.argsort(-to_training, kind="stable"), figures)


def nearest(faces: Faces, rows: Ints, among: Faces, allowed: Callable[[Ints], Bools]) -> tuple[Ints, Floats]:
    """Of each of some faces the one of the largest cosine among those that `allowed` admits; the first of equal ones.

    Args:
        faces, among: under one measure; M in the latter.
        rows: int64 (n,), of `faces`.
        allowed: takes some of `rows` (B,), gives bool (B,M).

    Returns:
        int64 (n,) rows of `among`, and float32 (n,) cosines, -inf where none is admitted.
    """
    found, cosines = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.float32)
    for first in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(first, first + ROWS_AT_ONCE)
        products = faces.vectors[rows[part]] @ among.vectors.T
        products[~allowed(rows[part])] = -np.inf
        found[part] = products.argmax(axis=1)
        cosines[part] = products[np.arange(len(products)), found[part]]
    return found, cosines


def own_cosines(faces: Faces) -> Floats:
    """The cosines of every two photographs of one person, float32 (P,)."""
    found = [np.zeros(0, np.float32)]
    for person in np.unique(faces.people):
        vectors = faces.vectors[faces.people == person]
        found.append((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)])
    return np.concatenate(found)


def pixel_vectors(images: npt.NDArray[np.uint8]) -> Floats:
    """Faces by their pixels: uint8 (N,112,112,3) to unit vectors (N,784), of which a cosine is the correlation of the pixels.

        v = u/‖u‖,  u = the means of 4 x 4 pixels' grey, less their mean over the face, plus the same of the mirrored face

    A face and its mirror image are one, for the discriminator saw both. A face without contrast is zero: it resembles nothing.
    """
    grey = smaller(images, PIXELS_PX).mean(axis=3)
    both = (grey + grey[:, :, ::-1]).reshape(len(images), -1)
    centred = both - both.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.where(lengths > 0, lengths, 1), np.float32)


def _relations(measure: str, fakes: Faces, training: Faces, drawn: Ints) -> dict[str, pa.Table]:
    everyone = np.arange(len(fakes.names))
    found = {
        FAKE_TO_TRAINING: (fakes, everyone, training, lambda rows: np.ones((len(rows), len(training.names)), np.bool_)),
        FAKE_TO_FAKE: (fakes, everyone, fakes, lambda rows: _others(fakes, rows)),
        TO_OTHER_PEOPLE: (training, drawn, training, lambda rows: ~_same_person(training, rows)),
        TO_OWN_PHOTOGRAPHS: (
            training,
            drawn,
            training,
            lambda rows: _same_person(training, rows) & _others(training, rows),
        ),
    }
    return {relation: _table(measure, relation, *args) for relation, args in found.items()}


def _table(
    measure: str, relation: str, faces: Faces, rows: Ints, among: Faces, allowed: Callable[[Ints], Bools]
) -> pa.Table:
    found, cosines = nearest(faces, rows, among, allowed)
    there = np.isfinite(cosines)
    columns = [
        pa.array([measure] * int(there.sum())),
        pa.array([relation] * int(there.sum())),
        pa.array([faces.names[row] for row in rows[there].tolist()], pa.string()),
        pa.array([among.names[row] for row in found[there].tolist()], pa.string()),
        pa.array(cosines[there], pa.float32()),
    ]
    return pa.table(columns, schema=NEAREST_FACES)


def _same_person(faces: Faces, rows: Ints) -> Bools:
    return np.asarray(faces.people[rows, None] == faces.people[None], np.bool_)


def _others(faces: Faces, rows: Ints) -> Bools:
    return np.asarray(rows[:, None] != np.arange(len(faces.people))[None], np.bool_)
