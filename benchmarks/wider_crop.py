"""What dlib's recogniser loses by seeing our 112 px crops instead of dlib's own, wider chip.

    python -m benchmarks.wider_crop --data data       LFW's ten folds, of a rebuild whose params.yaml is the working folder's
    python -m benchmarks.wider_crop --data data --folds 1 2

Each photograph is searched once more, and cut twice by the same five points: as stage align does, the chip resampled from that
(its last row repeated below), and as a chip straight from the photograph, which shows 8.6 px of our crop's pixels more of the
chin. Cosines of the sums of both views, as they are; the pairs are those of which both faces are found.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import torch

from benchmarks.common import report
from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.faces.align_photo import align_chosen
from pipeline_lib.data.faces.alignment import similarity_transform
from pipeline_lib.data.faces.detection.build import detector_weights, make_detector
from pipeline_lib.data.faces.rejects import FaceReject
from pipeline_lib.data.photos.photo import decode_photo
from pipeline_lib.data.photos.place import Place, read_photo
from pipeline_lib.matching.verification.protocols.kfold import cosine_fold_accuracy
from pipeline_lib.networks.backbones.dlib_resnet import CHIP_PX, LEFT, SCALE, TOP, DlibResNet, Spec
from pipeline_lib.networks.backbones.shared.checkpoints import initial_network
from pipeline_lib.networks.embedding.extract import to_network_input
from pipeline_lib.params.align import Align
from pipeline_lib.params.ingest import Ingest
from pipeline_lib.params.load import read_section
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS

CHIP_TEMPLATE = SCALE * TEMPLATE + (LEFT, TOP)
Images = npt.NDArray[np.uint8]


def both_cuts(photos: list[tuple[str, str]], align: Align, max_pixels: int) -> dict[str, tuple[Images, Images]]:
    """Of each photograph (image id, path) with a face: uint8 (112,112,3) and (150,150,3)."""
    detector = make_detector(align.detector, detector_weights(align), align.min_score, align.min_face_px)
    cuts = {}
    for image_id, path in photos:
        image = decode_photo(read_photo(Place(Path(path)), max_pixels), max_pixels)
        try:
            crop, _, face = align_chosen(image, detector.detect([image])[0], align.several_faces, align.min_face_px)
        except FaceReject:
            continue
        matrix = similarity_transform(face.landmarks.astype(np.float64), CHIP_TEMPLATE)
        cuts[image_id] = crop, np.asarray(cv2.warpAffine(image, matrix, (CHIP_PX, CHIP_PX)), np.uint8)
    return cuts


@torch.inference_mode()
def embedded(
    network: DlibResNet, crops: Images, chips: Images
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Embeddings (N,128) of crops and of chips, those of the mirrored ones added."""
    small = to_network_input(crops, network)
    wide = torch.from_numpy(chips).permute(0, 3, 1, 2).float()
    of_crops = network(small) + network(small.flip(3))
    of_chips = network.of_chips(wide)[0] + network.of_chips(wide.flip(3))[0]
    return of_crops.numpy(), of_chips.numpy()


def main() -> None:
    """Print both accuracies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--folds", type=int, nargs="*", help="of LFW, from 0; all if none")
    options = parser.parse_args()
    pairs = read_table(options.data / "ingest" / "pairs.parquet", PAIRS)
    pairs = pairs.filter(pc.equal(pairs["protocol"], "lfw"))
    if options.folds:
        pairs = pairs.filter(pc.is_in(pairs["fold"], value_set=pa.array(options.folds, pairs["fold"].type)))
    manifest = read_table(options.data / "ingest" / "manifest.parquet", MANIFEST)
    wanted = pa.chunked_array([*pairs["image_a"].chunks, *pairs["image_b"].chunks])
    photos = manifest.filter(pc.is_in(manifest["image_id"], value_set=wanted.unique()))
    listed = list(zip(photos["image_id"].to_pylist(), photos["uri"].to_pylist(), strict=True))
    cuts = both_cuts(listed, read_section("align", Align), read_section("ingest", Ingest).max_pixels)
    network = initial_network(Spec(), 0, None).eval()
    assert isinstance(network, DlibResNet)
    names = list(cuts)
    parts = []
    for first in range(0, len(names), 64):
        some = [cuts[name] for name in names[first : first + 64]]
        parts.append(embedded(network, np.stack([crop for crop, _ in some]), np.stack([chip for _, chip in some])))
    place = {name: row for row, name in enumerate(names)}
    kept = [row for row in pairs.to_pylist() if row["image_a"] in place and row["image_b"] in place]
    a, b = (np.array([place[row[side]] for row in kept]) for side in ("image_a", "image_b"))
    genuine, folds = (np.array([row[name] for row in kept]) for name in ("genuine", "fold"))
    rows: list[dict[str, object]] = []
    for name, column in zip(("crop of 112 px", "chip from the photograph"), zip(*parts, strict=True), strict=True):
        vectors = np.concatenate(column)
        found = cosine_fold_accuracy(cosine(vectors[a], vectors[b]), genuine, folds)
        rows.append({"seen": name, "accuracy": round(found.mean, 4), "std": round(found.std, 4), "pairs": len(kept)})
    report("wider_crop", {"folds": options.folds, "detector": read_section("align", Align).detector}, rows)


if __name__ == "__main__":
    main()
