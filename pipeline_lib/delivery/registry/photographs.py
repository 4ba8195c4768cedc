"""What the photographs are like that a score was calibrated on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.candidates import network_folders
from pipeline_lib.delivery.registry.choice import Choice
from pipeline_lib.delivery.registry.impostors import opened_column
from pipeline_lib.delivery.verifier import shipped_calibration as shipped
from pipeline_lib.delivery.verifier.domain import Domain, fit_domain, read_domain
from pipeline_lib.delivery.verifier.encoder import patch_means
from pipeline_lib.matching.scores.shared.pairs import faces_of
from pipeline_lib.networks.backbones.shared.checkpoints import load_network
from pipeline_lib.networks.embedding.images import ShardImages

MAX_PHOTOGRAPHS = 1000  # to describe one takes a millisecond, and a network of 4 GFLOP a tenth of a second


def domain_of_choice(choice: Choice, data: Path) -> Domain | None:
    """Of the photographs that it was calibrated on: those in the validation pairs, or the package's; raises as domain_of."""
    return read_domain(shipped.FOLDER) if choice.note else domain_of(choice.column, data, [VALIDATION])


def domain_of(column: str, data: Path, protocols: Sequence[str]) -> Domain | None:
    """Of the photographs in the pairs of some protocols, of more than MAX_PHOTOGRAPHS evenly so many; None of too few.

    Args:
        column: of the score table; what its network finds in them is looked at, too, where it is of whole faces.
        data: the rebuild's folder.
        protocols: whose photographs are taken; templates of many are left out.

    Raises:
        DataError, CheckpointError: a file is missing or damaged, or there is no such column.
    """
    reads, scorer = opened_column(column, data)
    table = reads.pairs.table.filter(pc.is_in(reads.pairs.table["protocol"], pa.array(protocols)))
    photographs = [face for face in faces_of(table) if face not in reads.pairs.templates]
    num = min(len(photographs), MAX_PHOTOGRAPHS)
    chosen = [photographs[place] for place in np.linspace(0, len(photographs) - 1, num).astype(np.int64).tolist()]
    if not chosen:
        return None
    images = ShardImages(reads.aligned)
    pixels = images.read(images.image_ids.rows(chosen).tolist())
    name = scorer.needs.network
    network = None if name is None else load_network(network_folders(data, scorer.needs)[name])
    return fit_domain(pixels, patch_means(network, pixels))
