"""The measure by patches: the method explains patched pairs, whose wrong decisions its map must trace to the patches."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.core.dpr import GENUINE, area, ends, resampled_curves
from pipeline_lib.core.files import atomic_dir
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.data.patches.squares import draw_squares, draw_stranger
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.replacement import REPLACEMENT
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.pair_sample import EXPLANATION, ORDER, PATCHES, SampledPair
from pipeline_lib.why.explanation.shared.threshold import Point, equal_error
from pipeline_lib.why.faithfulness.patch_pictures import Step, patches_picture, replacement_picture
from pipeline_lib.why.faithfulness.patched_pairs import patched_pair
from pipeline_lib.why.faithfulness.replacement import replaced_image, replacement_scores, returned_pixels

SHOWN_STEPS = (0, 1, 4, 10)  # 0, 5, 20 and 50 % of the pixels, as the paper's Fig. 7

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clean:
    """What a protocol's pairs are patched and judged by.

    Attributes:
        error: equal error rate and threshold of the network's cosine on the protocol's clean pairs.
        image_ids, identities: texts (N,), its aligned test images in the order of their ids, and who is on them.
    """

    error: Point
    image_ids: npt.NDArray[Any]
    identities: npt.NDArray[Any]


class PatchBenchmark:
    """Patched pairs and their decision-based replacement (a Measure).

    Writes replacement.parquet (schemas.replacement.REPLACEMENT) and, of pairs that are shown, replacement/PP_kind_NN_patches.png
    and _steps.png: PP is the number of the protocol, NN the pair's.

    Args:
        method: the entry of params.explanations.
        explain: the method; explains each patched pair anew, with the draws of the clean one.
        images: the aligned images.
        clean: protocol -> what its pairs are judged by; other protocols' pairs are passed over.
        seed: of the intervals.
    """

    def __init__(
        self, method: str, explain: Explainer, images: ShardImages, clean: Mapping[str, Clean], seed: int
    ) -> None:
        self._method, self._explain, self._clean, self._seed = method, explain, clean, seed
        self._images, self._row_of = images, {image_id: row for row, image_id in enumerate(images.image_ids)}
        self._rows, self._pictures = list[dict[str, object]](), dict[str, bytes]()

    def add(self, pair: SampledPair, faces: EmbeddedPair, found: Explanation) -> None:
        """See Measure; the clean pair's map is not used."""
        clean = self._clean.get(pair.protocol)
        if clean is None or not pair.is_measured:
            return
        rng, threshold = pair.rng(PATCHES), clean.error.threshold
        squares = draw_squares(rng)
        stranger = str(clean.image_ids[draw_stranger(clean.identities, pair.identity_a, rng)]) if pair.genuine else None
        source = faces.images[1] if stranger is None else self._images.read([self._row_of[stranger]])[0]
        patched = patched_pair(faces.images, source, squares)
        embedded, explained = self._explain(patched.images, pair.rng(EXPLANATION))
        returned = returned_pixels(patched.changed, explained, threshold, pair.rng(ORDER))
        later = replacement_scores(self._explain.embedder, patched, embedded.embeddings[1], returned)
        scores = [explained.score, *later.tolist()]
        self._rows.append(
            {
                **pair.names,
                "genuine": pair.genuine,
                "method": self._method,
                "stranger": stranger,
                "threshold": threshold,
                "clean_score": faces.score,
                "scores": scores,
            }
        )
        if pair.is_shown:
            images = [patched.images[0], *(replaced_image(patched, pixels) for pixels in returned)]
            steps = [Step(5 * step, images[step], scores[step], scores[step] >= threshold) for step in SHOWN_STEPS]
            name = f"{list(self._clean).index(pair.protocol):02d}_{pair.kind}_{pair.number:02d}"
            about = pair.genuine, threshold
            self._pictures[f"{name}_patches.png"] = patches_picture(patched, source, faces.score, *about)
            self._pictures[f"{name}_steps.png"] = replacement_picture(explained.maps[0], steps, *about)

    def write(self, out: Path) -> dict[str, float]:
        """See Measure: patches/<protocol>/ eer, and of the patched pairs fmr, fnmr, fmr_auc, fnmr_auc (in per cent, see dpr.area)
        with _low and _high, num_genuine, num_impostor.
        """
        table = table_from_rows(self._rows, REPLACEMENT)
        write_table(out / "replacement.parquet", table, REPLACEMENT)
        with atomic_dir(out / "replacement") as folder:
            for name, picture in self._pictures.items():
                (folder / name).write_bytes(picture)
        figures = dict[str, float]()
        for protocol in pc.unique(table["protocol"]).to_pylist():
            part = table.filter(pc.equal(table["protocol"], protocol))
            found = {"eer": self._clean[protocol].error.rate, **_figures(part, protocol, self._seed)}
            figures |= {f"patches/{protocol}/{name}": value for name, value in found.items()}
        return figures


def clean_protocols(
    sampled: Sequence[SampledPair], embedded: Path, pairs: Path, images: ShardImages
) -> dict[str, Clean]:
    """Protocol -> what its pairs are patched and judged by; one that lacks genuine or impostor pairs is named in the log.

    Args:
        sampled: the pairs that are explained; their protocols.
        embedded: the network's folder of stage embed.
        pairs: pairs.parquet of stage ingest.
        images: the aligned images.

    Raises:
        DataError: a file is missing or breaks its contract.
    """
    table = read_table(pairs, PAIRS)
    aligned = {
        image_id: identity
        for image_id, identity, split in zip(images.image_ids, images.identities, images.splits, strict=True)
        if split == "test"
    }
    found = {}
    for protocol in dict.fromkeys(pair.protocol for pair in sampled):
        of_protocol = table.filter(pc.equal(table["protocol"], protocol))
        listed = {image for side in ("image_a", "image_b") for image in Texts(of_protocol[side])}
        image_ids = sorted(listed & aligned.keys())
        identities = [aligned[image] for image in image_ids]
        error = equal_error(embedded, pairs, protocol)
        if error is None or len(set(identities)) < 2:
            logger.warning("%s is left out of the patch benchmark: it lacks genuine or impostor pairs", protocol)
            continue
        found[protocol] = Clean(error, np.array(image_ids, object), np.array(identities, object))
    return found


def _figures(table: pa.Table, protocol: str, seed: int) -> dict[str, float]:
    """Of one protocol's pairs by one method."""
    genuine = table["genuine"].to_numpy()
    figures: dict[str, float] = {"num_genuine": int(genuine.sum()), "num_impostor": int((~genuine).sum())}
    for error in GENUINE:
        for curves in resampled_curves({"it": table}, error, seed).values():
            areas, name = area(curves), error.lower()
            figures |= {name: float(curves[0, 0]), f"{name}_auc": float(areas[0])}
            if limits := ends(areas[1:]):
                figures |= {f"{name}_auc_low": limits[0], f"{name}_auc_high": limits[1]}
            else:
                logger.warning(
                    "the patch benchmark's %s on %s has no interval: its pairs show one person", error, protocol
                )
    return figures
