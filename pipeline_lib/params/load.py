"""params.yaml as frozen sections; an unknown key or a value out of range is refused with its place."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline_lib.core.errors import ParamsError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
REGION_NAME = re.compile(r"p(?P<size>28|56)_x(?P<x>\d+)_y(?P<y>\d+)")


class Section(BaseModel):
    """A frozen section that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """One photograph source. `path` is relative to ingest.root. `split`: by_identity draws the splits, else all go to one."""

    kind: Literal["synthetic", "image_folder", "lfw", "cfp"]
    path: str
    split: Literal["by_identity", "train", "val", "test"]


class Ingest(Section):
    """From sources to one manifest and its pairs. The max_* keys cut a run down; null takes all."""

    root: str
    sources: Annotated[list[Source], Field(min_length=1)]
    val_share: Share
    test_share: Share
    pairs_per_fold: Annotated[int, Field(ge=2, multiple_of=2)]
    num_folds: Annotated[int, Field(ge=2)]
    max_identities: Positive | None
    max_folds: Annotated[int, Field(ge=2)] | None
    max_pixels: Positive
    max_reject_share: Share
    seed: int


class Synthetic(Section):
    """The procedural renderer of the demo."""

    num_identities: Positive
    images_per_identity: Positive
    size_px: Annotated[int, Field(ge=96)]
    two_faces_share: Share
    no_face_share: Share
    seed: int


class Align(Section):
    """Detection and five-point alignment. `weights`: path of the detector's checkpoint, null for its download or none."""

    detector: Literal["dlib", "retinaface_resnet50", "retinaface_mobilenet", "retinaface_pytorch"]
    weights: str | None
    min_score: float
    min_face_px: Positive
    several_faces: Literal["reject", "largest", "centre"]
    batch_size: Positive
    num_workers: NonNegative
    images_per_shard: Positive
    max_reject_share: Share


class Head(Section):
    """Margin head. `margin` is in radians for arcface, adaface, curricularface and elasticface_arc, in cosine for cosface,
    elasticface_cos and uniface, 0 for normface.

    The rest belong to single kinds; null is the kind's default: `gradient` straight_through; `h` 0.333; `t_alpha` 0.01,
    the weight of a batch in running statistics; `margin_std` 0.05, in the margin's unit; `negative_weight` 1; `r` 1 (the
    threshold starts at ln(10 C r)).
    """

    kind: Literal[
        "arcface", "cosface", "normface", "adaface", "curricularface", "elasticface_arc", "elasticface_cos", "uniface"
    ]
    scale: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(ge=0)]
    gradient: Literal["straight_through", "exact"] | None = None
    h: Annotated[float, Field(gt=0)] | None = None
    t_alpha: Annotated[float, Field(gt=0, le=1)] | None = None
    margin_std: Annotated[float, Field(ge=0)] | None = None
    negative_weight: Annotated[float, Field(gt=0)] | None = None
    r: Annotated[float, Field(gt=0, le=1)] | None = None

    @model_validator(mode="after")
    def _settings_belong_to_the_kind(self) -> "Head":
        kinds_with = {
            "gradient": ("arcface",),
            "h": ("adaface",),
            "t_alpha": ("adaface", "curricularface"),
            "margin_std": ("elasticface_arc", "elasticface_cos"),
            "negative_weight": ("uniface",),
            "r": ("uniface",),
        }
        for key, kinds in kinds_with.items():
            if getattr(self, key) is not None and self.kind not in kinds:
                raise ValueError(f"{key} belongs to kind {' and '.join(kinds)}, not to {self.kind}")
        return self


class Network(Section):
    """A network's shape and its training length. `checkpoint` imports published weights; epochs 0 then trains nothing.

    `blocks`: counts of the four stages, or a published IResNet's by name. `backbone`: rrfnet's network over patches.
    depth, heads and token_px belong to vit. `head` is this network's in place of train.head.
    """

    arch: Literal["iresnet", "mobilefacenet", "bagnet17", "bagnet33", "vit", "rrfnet"]
    backbone: Literal["iresnet", "mobilefacenet", "bagnet17", "bagnet33", "vit"] = "iresnet"
    blocks: (
        Annotated[list[Positive], Field(min_length=4, max_length=4)] | Literal["r18", "r34", "r50", "r100", "r200"]
    ) = "r18"
    width: Annotated[float, Field(gt=0)] = 1.0
    embedding_dim: Positive = 512
    patch_px: Literal[28, 56] | None = None
    layout: Literal["corners4", "cross4", "corners5", "cross5", "all9", "no_corners33", "all49"] | None = None
    mask_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    mask_mode: Literal["drop", "zero"] = "drop"
    depth: Positive | None = None
    heads: Positive | None = None
    token_px: Positive | None = None
    epochs: NonNegative
    head: Head | None = None
    checkpoint: str | None = None

    @model_validator(mode="after")
    def _fields_belong_to_the_arch(self) -> "Network":
        if (self.arch == "rrfnet") != (self.patch_px is not None and self.layout is not None):
            raise ValueError("patch_px and layout belong to arch rrfnet, and it needs both")
        if self.backbone != "iresnet" and self.arch != "rrfnet":
            raise ValueError("backbone belongs to arch rrfnet")
        given = [value is not None for value in (self.depth, self.heads, self.token_px)]
        if given != ["vit" in (self.arch, self.backbone)] * 3:
            raise ValueError("depth, heads and token_px belong to vit, as arch or backbone, and it needs all three")
        if self.epochs == 0 and self.checkpoint is None:
            raise ValueError("epochs 0 needs a checkpoint to import")
        return self


class Regions(Section):
    """Region networks: one for every unique position `p<size>_x<column>_y<row>` (RRFNet, Approach A).

    Each of `positions` is trained by a stage of its own, from its patch shards: many GPUs. Those of a group are trained
    together by one stage, which decodes each face once for all of them: few cores, or one GPU. The weights are the same
    up to rounding.
    """

    positions: list[str]
    groups: dict[str, Annotated[list[str], Field(min_length=1)]]
    margin_px: NonNegative
    num_workers: NonNegative
    images_per_shard: Positive
    network: Network

    @property
    def all_positions(self) -> list[str]:
        """`positions`, then the groups' in their order."""
        return [*self.positions, *(name for group in self.groups.values() for name in group)]

    @property
    def folders(self) -> dict[str, str]:
        """Where each position's network lies below data/region_networks: the stage's folder, and in it the position's."""
        grouped = {name: f"{group}/{name}" for group, names in self.groups.items() for name in names}
        return {name: f"{name}/{name}" for name in self.positions} | grouped

    @model_validator(mode="after")
    def _positions_are_unique_ones(self) -> "Regions":
        names = self.all_positions
        for name in names:
            match = REGION_NAME.fullmatch(name)
            size, x, y = (int(match[part]) for part in ("size", "x", "y")) if match else (0, 0, 0)
            if not match or x % (size // 2) or y % (size // 2) or y > 112 - size or 2 * x > 112 - size:
                raise ValueError(
                    f"{name} is no unique patch position: p28_x{{0,14,28,42}}_y{{0..84}} or p56_x{{0,28}}_y{{0,28,56}}"
                )
        if len(set(names)) != len(names) or set(names) & set(self.groups):
            raise ValueError("a position stands twice, or names a group")
        return self


class Occlude(Section):
    """Occluded images: a share of the training images, and test images in every kind as queries.

    `max_query_images` test images are drawn as queries, null takes all.
    """

    kinds: list[Literal["mask_surgical", "mask_cloth", "mask_n95", "sunglasses", "crop"]]
    max_query_images: Positive | None
    train_share: Share
    crop_share: Annotated[float, Field(gt=0.0, le=1.0)]
    num_workers: NonNegative
    images_per_shard: Positive
    seed: int


class Train(Section):
    """What all training stages share.

    `batch_size` is the global batch, over all processes. Each works through its share in micro-batches of
    `micro_batch_size` (null: the whole share at once), over which batch normalisation takes its statistics: with the
    same micro-batch any number of processes learns the same. `ema_decay` (null: none) keeps a running mean of the
    weights, which is then the network that comes out. `validate_every_epochs` (null: never) measures the val pairs.
    `partial_fc_rate` (null: none) shards the head's class weights over the processes, of which each step takes this share
    and its own classes (PartialFC).
    """

    batch_size: Positive
    micro_batch_size: Positive | None
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip_norm: Annotated[float, Field(gt=0)]
    warmup_epochs: Annotated[float, Field(ge=0)]
    head: Head
    partial_fc_rate: Annotated[float, Field(gt=0.0, le=1.0)] | None
    shift_px: NonNegative
    use_occluded: bool
    ema_decay: Annotated[float, Field(gt=0.0, lt=1.0)] | None
    validate_every_epochs: Positive | None
    compile: bool
    num_processes: Positive
    threads_per_process: Positive
    checkpoint_every_steps: Positive
    log_every_steps: Positive
    seed: int


class Embed(Section):
    """How every network embeds the aligned and occluded images; `mirror` adds the mirrored image's features."""

    batch_size: Positive
    mirror: bool


class RegionWeights(Section):
    """Logistic regression on training pairs; strengths are C, the inverse L2 weight, chosen by cross-validation.

    `num_bootstrap` resamples of the identities give the weights' standard errors and intervals; two are the fewest with a spread.
    """

    num_pairs: Positive
    num_cross_validation_folds: Annotated[int, Field(ge=2)]
    strengths: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    num_bootstrap: Annotated[int, Field(ge=2)]
    seed: int


class Lid(Section):
    """The regressor of G (DAM-L): two fully connected layers."""

    hidden_dim: Positive
    num_steps: Positive
    batch_size: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    decay_steps: list[Positive]


class Dam(Section):
    """Anchors and the discrepancy-aligned metric."""

    network: str
    scale: Annotated[float, Field(gt=0)]
    num_neighbours: Positive
    max_anchors: Positive
    lid: Lid
    seed: int


class Verify(Section):
    """Pair verification; a rate too low for the number of impostors is left out of the tables."""

    false_accept_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]


class Rerank(Section):
    """Stage 1 cosine, stage 2 alpha * EMD + (1 - alpha) * cosine on the top_k; `pool` averages the patch grid pool x pool."""

    network: str
    top_k: Positive
    alpha: Share
    weights: Literal["uniform", "apc", "sc", "sc_distance"]
    pool: Literal[1, 2]
    regularisation: Annotated[float, Field(gt=0)]
    tolerance: Annotated[float, Field(gt=0)]
    max_iterations: Positive


class Explain(Section):
    """RRFNet maps and their faithfulness on genuine pairs."""

    networks: Annotated[list[str], Field(min_length=1)]
    num_pairs: Positive
    num_pictures: NonNegative
    num_steps: Annotated[int, Field(ge=2)]
    insertion_blur_sigma_px: Annotated[float, Field(gt=0)]
    batch_size: Positive
    seed: int


class Register(Section):
    """The model that goes to the registry, and the experiment every run is logged under."""

    network: str
    model_name: str
    experiment: str


class Report(Section):
    """The page."""

    num_example_pairs: NonNegative


class Params(Section):
    """The whole of params.yaml."""

    ingest: Ingest
    synthetic: Synthetic
    align: Align
    regions: Regions
    occlude: Occlude
    train: Train
    networks: dict[str, Network]
    embed: Embed
    region_weights: RegionWeights
    dam: Dam
    verify: Verify
    rerank: Rerank
    explain: Explain
    register_: Register = Field(alias="register")
    report: Report

    @model_validator(mode="after")
    def _named_networks_exist(self) -> "Params":
        named = {
            "dam.network": [self.dam.network],
            "rerank.network": [self.rerank.network],
            "explain.networks": self.explain.networks,
            "register.network": [self.register_.network],
        }
        for key, names in named.items():
            for name in names:
                if name not in self.networks:
                    raise ValueError(f"{key} names {name}, which networks does not define")
        for name in [*self.explain.networks, self.register_.network]:
            if self.networks[name].arch != "rrfnet":
                raise ValueError(f"{name} is no rrfnet: explain.networks and register.network need one")
        return self


T = TypeVar("T", bound=BaseModel)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the whole of params.yaml.

    Raises:
        ParamsError: the file is missing or no YAML, a key is unknown or missing, a value is out of range; names the key.
    """
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ParamsError("The parameter file is missing.", where=path) from None
    except yaml.YAMLError as error:
        raise ParamsError("The parameter file is no YAML.", got=error, where=path) from error
    return check_params(raw, where=str(path))


def check_params(raw: Any, where: str) -> Params:
    """Check a parsed mapping; see load_params."""
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, item['loc'])) or '(top level)'}: {item['msg']}" for item in error.errors()]
        raise ParamsError("A parameter is wrong:\n  " + "\n  ".join(problems), where=where) from None
