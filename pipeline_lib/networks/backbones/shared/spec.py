"""What a network is: everything its layers are built from, as plain values that go into JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import CheckpointError, ParamsError

IMAGE_PX = 112
MASK_MODES = ("drop", "zero")
# Residual blocks of ArcFace's published IResNets. ResNet-50, BagNet's in its own paper, has as many as r34.
BLOCK_PRESETS = {
    "r18": (2, 2, 2, 2),
    "r34": (3, 4, 6, 3),
    "r50": (3, 4, 14, 3),
    "r100": (3, 13, 30, 3),
    "r200": (6, 26, 60, 6),
}
ADDED_FIELDS = {"backbone", "depth", "heads", "token_px"}  # network.json files written before have none of them


@dataclass(frozen=True)
class Needs:
    """Which fields of a NetworkSpec an architecture reads, and the smallest image that it can look at."""

    num_stages: int = 4
    any_width: bool = True
    is_transformer: bool = False
    min_px: int = 8


NEEDS = {
    "iresnet": Needs(),
    "mobilefacenet": Needs(num_stages=0, any_width=False),
    "bagnet17": Needs(min_px=17),
    "bagnet33": Needs(min_px=33),
    "vit": Needs(num_stages=0, is_transformer=True),
}
ARCHITECTURES = (*NEEDS, "rrfnet")


@dataclass(frozen=True)
class NetworkSpec:
    """A network's shape.

    Args:
        arch: one of ARCHITECTURES.
        blocks: residual blocks of the four stages of iresnet and bagnet; empty for mobilefacenet and vit.
        width: multiplies the channels of every stage (64, 128, 256, 512 at 1), or vit's token length (512 at 1).
        embedding_dim: D, the length of an embedding.
        patch_px: side of rrfnet's square patches, else None.
        layout: name of rrfnet's patch positions (patches.grid.layout_positions), else None.
        mask_share: share of each sample's patches that training masks; rrfnet only.
        mask_mode: drop leaves masked patches out of the mean, zero blanks their pixels.
        input_px: side of the square input; 112, or the patch side for a region network.
        backbone: rrfnet's network over patches, any other architecture; blocks, width, depth, ... are then its own.
        depth: vit's layers, else None.
        heads: vit's attention heads, else None.
        token_px: side of the squares that are vit's tokens, else None.

    Raises:
        ParamsError: the values do not belong together.
    """

    arch: str
    blocks: tuple[int, ...] = BLOCK_PRESETS["r18"]
    width: float = 1.0
    embedding_dim: int = 512
    patch_px: int | None = None
    layout: str | None = None
    mask_share: float = 0.0
    mask_mode: str = "drop"
    input_px: int = IMAGE_PX
    backbone: str = "iresnet"
    depth: int | None = None
    heads: int | None = None
    token_px: int | None = None

    def __post_init__(self) -> None:
        is_rrfnet = self.arch == "rrfnet"
        self._check("arch", self.arch, self.arch in ARCHITECTURES, ARCHITECTURES)
        backbones = tuple(NEEDS) if is_rrfnet else ("iresnet",)
        self._check(
            "backbone", self.backbone, self.backbone in backbones, f"{backbones}; another than iresnet for rrfnet"
        )
        layers = self.backbone if is_rrfnet else self.arch
        needs = NEEDS[layers]
        self._check(
            "blocks",
            self.blocks,
            len(self.blocks) == needs.num_stages and min(self.blocks, default=1) >= 1,
            f"{needs.num_stages} counts of at least 1 for {layers}",
        )
        width_ok = self.width > 0 and (needs.any_width or self.width == 1)
        self._check("width", self.width, width_ok, "above 0; 1 for mobilefacenet")
        self._check("embedding_dim", self.embedding_dim, self.embedding_dim >= 1, "at least 1")
        self._check("mask_mode", self.mask_mode, self.mask_mode in MASK_MODES, MASK_MODES)
        share_ok = 0 <= self.mask_share < 1 and (is_rrfnet or self.mask_share == 0)
        self._check("mask_share", self.mask_share, share_ok, "0 up to below 1; 0 but for rrfnet")
        patches = (self.patch_px, self.layout)
        patches_ok = self.patch_px in (28, 56) and self.layout is not None if is_rrfnet else patches == (None, None)
        self._check("patch_px, layout", patches, patches_ok, "28 or 56 and a layout for rrfnet, none for the others")
        tokens = (self.depth, self.heads, self.token_px)
        tokens_ok = all((value or 0) >= 1 for value in tokens) if needs.is_transformer else tokens == (None, None, None)
        self._check("depth, heads, token_px", tokens, tokens_ok, "at least 1 each for vit, none for the others")
        if is_rrfnet:
            self._check(
                "input_px", self.input_px, self.input_px == IMAGE_PX, f"{IMAGE_PX} for rrfnet, which cuts patches"
            )
        self._check_layers_fit("patch_px" if is_rrfnet else "input_px", self.patch_px or self.input_px, layers, needs)

    def _check_layers_fit(self, key: str, side_px: int, layers: str, needs: Needs) -> None:
        """Refuse inputs that the layers, those of rrfnet's backbone or the network's own, cannot take."""
        fitting = ", ".join(name for name, other in NEEDS.items() if other.min_px <= side_px)
        allowed = f"at least {needs.min_px} for {layers}; {side_px} px are enough for {fitting or 'none'}"
        self._check(key, side_px, side_px >= needs.min_px, allowed)
        if self.token_px is not None:
            divisors = [side for side in range(1, side_px + 1) if side_px % side == 0]
            self._check(
                "token_px", self.token_px, self.token_px in divisors, f"a divisor of {key} {side_px}: {divisors}"
            )

    def _check(self, key: str, got: object, holds: bool, allowed: object) -> None:
        if not holds:
            raise ParamsError(
                f"A network's {key} is not possible.", got=got, allowed=allowed, where=f"arch {self.arch}"
            )

    @property
    def first_stride(self) -> int:
        """Stride of an iresnet's first residual block, or of mobilefacenet's first convolution.

        2 on whole faces, 1 on patches, whose maps are small (RRFNet Table I).
        """
        return 2 if self.input_px == IMAGE_PX else 1

    def of_patches(self) -> "NetworkSpec":
        """The spec of rrfnet's backbone: a network whose input is one patch."""
        assert self.patch_px is not None, "only rrfnet has patches"
        return dataclasses.replace(
            self,
            arch=self.backbone,
            backbone="iresnet",
            input_px=self.patch_px,
            patch_px=None,
            layout=None,
            mask_share=0.0,
            mask_mode="drop",
        )

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**dataclasses.asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: object = None) -> "NetworkSpec":
        """The inverse of to_json; a file from before a field was added reads as its default.

        Raises:
            CheckpointError: a field is missing or unknown, or its value is not possible; names `where` it was read.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if not names - ADDED_FIELDS <= set(fields) <= names:
            raise CheckpointError(
                "A network's description has other fields than this version reads.",
                got=sorted(fields),
                allowed=sorted(names),
                where=where,
            )
        try:
            return cls(**{**fields, "blocks": tuple(fields["blocks"])})
        except (ParamsError, TypeError) as error:
            raise CheckpointError("A network's description is not possible.", got=error, where=where) from error


def from_params(section: Any, input_px: int = IMAGE_PX) -> NetworkSpec:
    """The spec of a `networks.<name>` or `regions.network` section of params.yaml (params.load.Network).

    Args:
        section: any object with the fields of params.load.Network; not imported here, so that networks need no
            pydantic. `blocks` are counts or a name in BLOCK_PRESETS.
        input_px: 112, or the patch side for a region network.
    """
    layers = section.backbone if section.arch == "rrfnet" else section.arch
    blocks = BLOCK_PRESETS[section.blocks] if isinstance(section.blocks, str) else tuple(section.blocks)
    return NetworkSpec(
        arch=section.arch,
        blocks=blocks if NEEDS[layers].num_stages else (),
        width=section.width,
        embedding_dim=section.embedding_dim,
        patch_px=section.patch_px,
        layout=section.layout,
        mask_share=section.mask_share,
        mask_mode=section.mask_mode,
        input_px=input_px,
        backbone=section.backbone,
        depth=section.depth,
        heads=section.heads,
        token_px=section.token_px,
    )
