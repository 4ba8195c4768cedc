"""The validation pairs, measured while networks train."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import torch
from torch import Tensor

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.roc import area_under, equal_error_rate, roc_curve
from pipeline_lib.core.tables import read_table
from pipeline_lib.core.texts import Texts
from pipeline_lib.core.world import World, sum_over_ranks
from pipeline_lib.data.patches.grid import Region
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION, usable_pairs
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.pair_network import PairNetwork
from pipeline_lib.networks.embedding.extract import Floats, embed_images, embed_region_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.schemas.pairs import PAIRS


class ValidationSet:
    """The pairs of the protocol "val", whose identities nothing is trained on; there may be none (ingest warns of it).

    Args:
        aligned: folder of stage align.
        pairs: pairs.parquet of stage ingest.
        batch_size: images a forward pass.
        world: each rank embeds its share of the images, which it keeps in memory.
        regions: for region networks, the region of each by name; None for networks of whole faces.
        shards_url: as ShardImages.

    Raises:
        DataError: a table is missing or breaks its contract.
    """

    def __init__(
        self,
        aligned: Path,
        pairs: Path,
        batch_size: int,
        world: World,
        regions: Mapping[str, Region] | None = None,
        shards_url: str | None = None,
    ) -> None:
        self._batch_size, self._regions = batch_size, regions
        self._patches: Tensor | None = None  # of a network in pairs: frozen, so embedded once
        drawn = read_table(pairs, PAIRS)
        drawn = drawn.filter(pc.equal(drawn["protocol"], VALIDATION))
        self._genuine = np.zeros(0, np.bool_)
        if drawn.num_rows:
            images = ShardImages(aligned, shards_url)
            usable, _ = usable_pairs(drawn, images.image_ids.column)
            self._genuine = usable["genuine"].to_numpy(zero_copy_only=False)
            sides = [images.image_ids.rows(Texts(usable[side])) for side in ("image_a", "image_b")]
            rows, places = np.unique(np.array(sides), return_inverse=True)
            self._a, self._b = places.reshape(2, -1)
            self._num_images, self._own = len(rows), slice(world.rank, None, world.size)
            self._images = images.read(rows[self._own].tolist())

    def measure(self, networks: Mapping[str, FaceNetwork]) -> dict[str, float]:
        """val_auc and val_eer (means over the networks; `val_auc.<name>` of each where there are several), in [0, 1].

        Cosines of single images, without mirrored ones, or what a network in pairs says of two such.
        All ranks call it, with the same networks in eval mode.

        Returns:
            The figures, on every rank; none without pairs.
        """
        if not len(self._genuine):
            return {}
        figures = {}
        for name, network in networks.items():
            roc = roc_curve(self._scores(name, network), self._genuine)
            figures[name] = (area_under(roc), equal_error_rate(roc)[0])
        auc, eer = np.mean(list(figures.values()), axis=0).tolist()
        each = {f"val_auc.{name}": found for name, (found, _) in figures.items()} if len(figures) > 1 else {}
        return {"val_auc": auc, "val_eer": eer, **each}

    def _scores(self, name: str, network: FaceNetwork) -> Floats:
        """Of all pairs, float32 (P,)."""
        device = next(network.parameters()).device
        if isinstance(network, PairNetwork):
            if self._patches is None:
                self._patches = self._of_all_ranks(self._embedded(name, network)[1], device)
            return self._compared(network, self._patches)
        vectors = self._of_all_ranks(self._embedded(name, network)[0], device).cpu().numpy()
        return cosine(vectors[self._a], vectors[self._b])

    def _embedded(self, name: str, network: FaceNetwork) -> tuple[Floats, Floats]:
        """Vectors (n,D) and patch features (n,K,C) of this rank's images."""
        if self._regions is not None:
            patches = embed_region_images({self._regions[name]: network}, self._images, self._batch_size)
            return patches[:, 0], patches
        return embed_images(network, self._images, False, self._batch_size, with_patches=network.in_pairs)

    def _of_all_ranks(self, own: Floats, device: torch.device) -> Tensor:
        """Features of all images, float32 (N,...), from every rank's own."""
        features = torch.zeros(self._num_images, *own.shape[1:], device=device)
        features[self._own] = torch.from_numpy(own).to(device)
        return sum_over_ranks(features)

    @torch.inference_mode()
    def _compared(self, network: PairNetwork, patches: Tensor) -> Floats:
        index = torch.split(torch.from_numpy(np.stack([self._a, self._b])).to(patches.device), self._batch_size, dim=1)
        return torch.cat([network.compare(patches[a], patches[b]) for a, b in index]).cpu().numpy()
