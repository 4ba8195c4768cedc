"""Networks and heads as one module, from stored pixels to the loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.pixels import network_scale
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.stacked import StackedNetworks
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.heads.shared.objective import Objective
from pipeline_lib.networks.heads.shared.partial_fc import PartialFC
from pipeline_lib.networks.heads.shared.settings import ObjectiveSettings
from pipeline_lib.networks.training.data import TrainingSet
from pipeline_lib.params.train import Train


class Trainee(nn.Module):
    """A network and its head: what is trained."""

    def __init__(self, network: FaceNetwork, head: Objective | PartialFC) -> None:
        super().__init__()
        self.network = network
        self.head = head

    @property
    def has_statistics(self) -> bool:
        """Whether the head follows running statistics of the batches."""
        return self.head.has_statistics

    def embed(self, images: Tensor, labels: Tensor, drawn: Tensor | None) -> Tensor:
        """Embeddings (B,D) of a batch, as `forward` judges them."""
        return self._embed_with_loss(images, labels, drawn)[0]

    def observe(self, embeddings: Tensor, labels: Tensor) -> None:
        """Take embeddings (B,D) of the rank's whole share of a global batch into the head's running statistics."""
        self.head.observe(embeddings.detach(), labels)

    def forward(
        self, images: Tensor, labels: Tensor, drawn: Tensor | None, noise: Tensor | None, is_whole: bool = False
    ) -> Tensor:
        """The mean loss of a batch: the head's, and the network's own where it has one (FaceNetwork.forward_with_loss).

        Args:
            images: uint8 RGB (B,S,S,3), or cached maps, float32 (B,F) (training.cached_maps); of a network in pairs rows 2i and
                2i+1 belong together.
            labels: int64 (B,), or float32 (B,D) where the head is an objective without classes (heads.shared.objective).
            drawn: (B,k), what the network draws for each sample (FaceNetwork.draw), or None.
            noise: float32 (B,), a standard normal number a sample, or None; for heads that draw their margins.
            is_whole: the batch is the rank's whole share of the global batch, which the head is to observe.
        """
        embeddings, own_loss = self._embed_with_loss(images, labels, drawn)
        if is_whole:
            self.observe(embeddings, labels)
        loss: Tensor = self.head(embeddings, labels, noise)
        return loss if own_loss is None else loss + own_loss

    def _embed_with_loss(self, images: Tensor, labels: Tensor, drawn: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The network runs in bfloat16 on GPUs, in float32 on CPUs, where bfloat16 is slower."""
        beside = (labels,) if self.network.in_pairs else ()
        with mixed_precision(images.device):
            return self.network.forward_with_loss(*inputs(images, drawn), *beside)


class StackedTrainees(nn.Module):
    """V trainees whose networks are computed as one (StackedNetworks), each with its own head."""

    def __init__(self, trainees: Sequence[Trainee]) -> None:
        super().__init__()
        self.network = StackedNetworks([trainee.network for trainee in trainees])
        self.heads = nn.ModuleList(trainee.head for trainee in trainees)

    @property
    def has_statistics(self) -> bool:
        """Whether any head follows running statistics."""
        return any(head.has_statistics for head in self.heads)

    def embed(self, images: Tensor, labels: Tensor, drawn: None) -> Tensor:
        """Embeddings (B,V,D) of views uint8 (B,V,S,S,3); otherwise as Trainee.embed."""
        with mixed_precision(images.device):
            embeddings: Tensor = self.network(scaled(images))
        return embeddings

    def observe(self, embeddings: Tensor, labels: Tensor) -> None:
        """As Trainee.observe, of embeddings (B,V,D)."""
        for head, view in zip(self.heads, embeddings.detach().unbind(1), strict=True):
            assert isinstance(head, Objective | PartialFC)
            head.observe(view, labels)

    def forward(
        self, images: Tensor, labels: Tensor, drawn: None, noise: Tensor | None, is_whole: bool = False
    ) -> Tensor:
        """The losses (V,) of views uint8 (B,V,S,S,3) of one batch; otherwise as Trainee.forward."""
        embeddings = self.embed(images, labels, drawn)
        if is_whole:
            self.observe(embeddings, labels)
        views = embeddings.unbind(1)
        return torch.stack([head(view, labels, noise) for head, view in zip(self.heads, views, strict=True)])


def check_objective(name: str, trainee: Trainee, dataset: TrainingSet) -> None:
    """Whether a trainee can be held against what the samples have: classes, or a teacher's embeddings.

    Raises:
        DataError: the head is of another number of classes, of none where there is no teacher, or the teacher's embeddings
            have another length.
    """
    teacher, num_classes = dataset.teacher, trainee.head.num_classes
    wanted = None if teacher is not None else len(dataset.classes)
    if num_classes != wanted:
        got = f"{num_classes or 'no'} classes for {name}"
        allowed = f"{wanted} classes" if wanted else "an objective without classes, since there is a teacher"
        raise DataError("A head does not fit the training set.", got=got, allowed=allowed)
    dim = trainee.network.spec.embedding_dim
    if teacher is not None and dim != teacher.dim:
        raise DataError(
            "A teacher's embeddings have another length than the student's.",
            got=f"{teacher.dim}",
            allowed=f"{dim}, embedding_dim of {name}",
        )


def inputs(images: Tensor, drawn: Tensor | None) -> tuple[Tensor, ...]:
    """The arguments of a network: images scaled, or cached maps, and what it draws for each sample, where it does."""
    seen = images if images.is_floating_point() else scaled(images)
    return (seen,) if drawn is None else (seen, drawn)


def scaled(images: Tensor) -> Tensor:
    """uint8 (...,S,S,3) to float32 (...,3,S,S) in [-1,1]; the memory stays as stored, of (B,S,S,3) that is channels_last."""
    return network_scale(images.movedim(-1, -3).float())


def mixed_precision(device: torch.device) -> torch.autocast:
    """bfloat16 on GPUs; float32 on CPUs, where bfloat16 is slower."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda")


def new_trainee(network: FaceNetwork, head: ObjectiveSettings, train: Train, num_classes: int) -> Trainee:
    """`network` with a fresh head of `num_classes`: the whole on every rank, or PartialFC's shards.

    Raises:
        ParamsError: the head cannot be sharded (train.partial_fc_rate).
    """
    dim = network.spec.embedding_dim
    if train.partial_fc_rate is None:
        return Trainee(network, build_head(head, dim, num_classes, train.seed))
    return Trainee(network, PartialFC(head, dim, num_classes, train.partial_fc_rate, train.seed))
