"""Pairs through a method and its measures, one by one."""

import logging
from collections.abc import Sequence
from pathlib import Path

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.progress import track
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.map_file import open_maps
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, SampledPair
from pipeline_lib.why.explanation.shared.pictures import pair_picture
from pipeline_lib.why.faithfulness.gallery import write_gallery
from pipeline_lib.why.faithfulness.measure import Measure

logger = logging.getLogger(__name__)


def explain_pairs(
    entry: str,
    explain: Explainer,
    measures: Sequence[Measure],
    sampled: Sequence[SampledPair],
    images: ShardImages,
    out: Path,
) -> dict[str, float]:
    """Write maps.arrow, pictures/NN_kind.png, the gallery and what the measures write; metrics of the entry come back.

    A pair that cannot be explained or measured is named in the log, counted as num_failed, and left out; memory holds one pair.

    Args:
        entry: of explanations, for messages.
        explain: the method.
        measures: of its faithfulness.
        sampled: the pairs, in the order of the files.
        images: aligned faces; holds those of the pairs.
        out: the entry's folder.

    Raises:
        DataError: no pair can be explained; that of the first.
    """
    row_of = {image_id: row for row, image_id in enumerate(images.image_ids)}
    failures, num_shown = list[DataError](), 0
    with open_maps(out / "maps.arrow") as maps, atomic_dir(out / "pictures") as pictures:
        for pair in track(sampled, f"explaining by {entry}", total=len(sampled)):
            faces_read = images.read([row_of[pair.image_a], row_of[pair.image_b]])
            try:
                faces, found = explain(faces_read, pair.rng(EXPLANATION))
                for measure in measures:
                    measure.add(pair, faces, found)
            except DataError as error:
                logger.warning("%s: %s and %s are left out: %s", entry, pair.image_a, pair.image_b, error)
                failures.append(error)
                continue
            name = f"{num_shown:02d}_{pair.kind}" if pair.is_shown else None
            maps.write(pair, found, name)
            if name is not None:
                sure = "" if found.confidence is None else f", decision right with confidence {found.confidence:.2f}"
                picture = pair_picture(faces.images, found, caption=f"{pair.kind} pair{sure}")
                (pictures / f"{name}.png").write_bytes(picture)
                num_shown += 1
        if failures and len(failures) == len(sampled):
            raise failures[0]
    figures = {key: value for measure in measures for key, value in measure.write(out).items()}
    write_gallery(out, lambda a, b: images.read([row_of[a], row_of[b]]))
    return {**figures, "num_failed": len(failures)}
