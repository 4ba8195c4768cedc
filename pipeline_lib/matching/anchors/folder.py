"""A user's folder of photographs: one face a person, detected and aligned as the rebuild's own."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.parallel import map_batches
from pipeline_lib.core.progress import track
from pipeline_lib.data.faces.align_batch import AlignedFace, Outcome, align_batch, crashed_row
from pipeline_lib.data.faces.detection.build import detector_weights
from pipeline_lib.data.photos.bad_entries import printable
from pipeline_lib.data.photos.folder import entries
from pipeline_lib.matching.anchors.shared.kind import Found, Inputs, draw_some
from pipeline_lib.matching.anchors.shared.settings import FromPath

OF_TRAINING = False
PHOTOGRAPHS_A_BATCH = 16
log = logging.getLogger("face_verifier")


class Settings(FromPath):
    """`from`: the folder."""


def find(settings: Settings, inputs: Inputs) -> Found:
    """One photograph of each person, drawn, at most max_anchors of the people; where it has no usable face, another one of them.

    A photograph is of the person that its folder is named after, at whatever depth; one that lies at the root, of its own name
    without the suffix. Its id is its path in the folder. Figures: num_photographs (there), num_rejected and, by reason,
    num_rejected_<reason> (of those looked at), num_people_without_face.

    Raises:
        DataError: there is no such folder, it cannot be read, or no photograph in it can be used.
    """
    root, rng = settings.path, np.random.default_rng(inputs.entry.seed)
    rejects: Counter[str] = Counter()
    waiting = people_of(root, rejects)
    num_photographs = sum(map(len, waiting.values()))
    names = sorted(waiting)
    names = [names[place] for place in draw_some(len(names), inputs.entry.max_anchors, rng)]
    waiting = {name: [waiting[name][place] for place in rng.permutation(len(waiting[name]))] for name in names}
    found: dict[str, tuple[str, np.ndarray]] = {}
    while asked := [(name, photos.pop(0)) for name, photos in waiting.items() if photos]:
        faces: list[AlignedFace] = []
        for outcome in _aligned(asked, root, inputs):
            if isinstance(outcome, AlignedFace):
                faces.append(outcome)
                waiting[outcome.identity].clear()
            else:
                rejects[str(outcome["reason"])] += 1
                log.info("no anchor: %s: %s (%s)", outcome["uri"], outcome["reason"], outcome["detail"])
            if len(faces) == inputs.batch_size:
                found |= _embedded(faces, inputs)
                faces = []
        found |= _embedded(faces, inputs)
    if not found:
        counts = ", ".join(f"{reason} {count}" for reason, count in sorted(rejects.items()))
        got = f"{num_photographs} photographs; {counts}" if counts else f"{num_photographs} photographs"
        problem = "No photograph of the folder can be an anchor."
        raise DataError(problem, got=got, allowed="photographs with one face each, in a folder a person", where=root)
    kept = [name for name in names if name in found]
    figures = {
        "num_photographs": num_photographs,
        "num_people_without_face": len(names) - len(kept),
        "num_rejected": rejects.total(),
        **{f"num_rejected_{reason}": count for reason, count in sorted(rejects.items())},
    }
    return Found([found[name][0] for name in kept], kept, np.stack([found[name][1] for name in kept]), figures)


def people_of(root: Path, rejects: Counter[str]) -> dict[str, list[str]]:
    """Every photograph below `root` by person, as paths in it, sorted; nothing is opened.

    Args:
        root: the folder.
        rejects: names that are no UTF-8 and folders that cannot be read are counted here.

    Raises:
        DataError: there is no such folder, or it cannot be read.
    """
    if not root.is_dir():
        what = "What anchors are to be made of is no folder." if root.exists() else "The anchors' folder is missing."
        raise DataError(what, allowed="a folder of photographs", where=root)
    people: dict[str, list[str]] = {}
    left_out: Counter[str] = Counter()
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            below, photographs = entries(folder, left_out)
        except OSError as error:
            if folder == root:
                raise DataError("The anchors' folder cannot be read.", got=error.strerror, where=root) from error
            rejects["unreadable_folder"] += 1
            continue
        folders += below
        for path in photographs:
            if printable(path) != str(path):
                rejects["bad_name"] += 1
                continue
            name = path.stem if folder == root else folder.name
            people.setdefault(name, []).append(path.relative_to(root).as_posix())
    return {name: sorted(photographs) for name, photographs in people.items()}


def _aligned(asked: Sequence[tuple[str, str]], root: Path, inputs: Inputs) -> Iterator[Outcome]:
    rows = [{"image_id": uri, "identity": name, "split": "anchor", "uri": uri} for name, uri in asked]
    batches = [rows[first : first + PHOTOGRAPHS_A_BATCH] for first in range(0, len(rows), PHOTOGRAPHS_A_BATCH)]
    weights = detector_weights(inputs.align)
    function = partial(
        align_batch, align=inputs.align, weights=weights, root=root.resolve(), max_pixels=inputs.max_pixels
    )
    workers = min(inputs.num_workers, len(batches)) if len(batches) > 1 else 0
    done = map_batches(function, batches, workers, crashed=crashed_row)
    for outcomes in track(done, f"batches of {PHOTOGRAPHS_A_BATCH} photographs for anchors", len(batches)):
        yield from outcomes


def _embedded(faces: Sequence[AlignedFace], inputs: Inputs) -> dict[str, tuple[str, np.ndarray]]:
    if not faces:
        return {}
    vectors = inputs.embed(np.stack([face.image for face in faces]))
    return {face.identity: (face.image_id, vector) for face, vector in zip(faces, vectors, strict=True)}
