"""What a network is: everything its layers are built from, as plain values that go into JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline_lib.core.errors import CheckpointError, ParamsError

IMAGE_PX = 112
ARCHITECTURES = ("iresnet", "mobilefacenet", "rrfnet")
MASK_MODES = ("drop", "zero")


@dataclass(frozen=True)
class NetworkSpec:
    """A network's shape.

    Args:
        arch: iresnet, mobilefacenet or rrfnet.
        blocks: residual blocks of the four stages; empty for mobilefacenet, whose shape is fixed.
        width: multiplies the channels of every stage (64, 128, 256, 512 at 1).
        embedding_dim: D, the length of an embedding.
        patch_px: side of rrfnet's square patches, else None.
        layout: name of rrfnet's patch positions (patches.grid.layout_positions), else None.
        mask_share: share of each sample's patches that training masks; rrfnet only.
        mask_mode: drop leaves masked patches out of the mean, zero blanks their pixels.
        input_px: side of the square input; 112, or the patch side for a region network.

    Raises:
        ParamsError: the values do not belong together.
    """

    arch: str
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    width: float = 1.0
    embedding_dim: int = 512
    patch_px: int | None = None
    layout: str | None = None
    mask_share: float = 0.0
    mask_mode: str = "drop"
    input_px: int = IMAGE_PX

    def __post_init__(self) -> None:
        num_stages = 0 if self.arch == "mobilefacenet" else 4
        rules = [
            (self.arch in ARCHITECTURES, "arch", self.arch, ARCHITECTURES),
            (
                len(self.blocks) == num_stages and min(self.blocks, default=1) >= 1,
                "blocks",
                self.blocks,
                f"{num_stages} counts of at least 1",
            ),
            (
                self.width > 0 and (self.arch != "mobilefacenet" or self.width == 1),
                "width",
                self.width,
                "above 0; 1 for mobilefacenet",
            ),
            (self.embedding_dim >= 1, "embedding_dim", self.embedding_dim, "at least 1"),
            (self.mask_mode in MASK_MODES, "mask_mode", self.mask_mode, MASK_MODES),
            (
                0 <= self.mask_share < 1 and (self.arch == "rrfnet" or self.mask_share == 0),
                "mask_share",
                self.mask_share,
                "0 up to below 1; 0 but for rrfnet",
            ),
            (
                (self.patch_px in (28, 56) and self.layout is not None)
                if self.arch == "rrfnet"
                else (self.patch_px is None and self.layout is None),
                "patch_px, layout",
                (self.patch_px, self.layout),
                "28 or 56 and a layout for rrfnet, none for the others",
            ),
            (
                self.input_px == IMAGE_PX or (self.arch == "iresnet" and self.input_px >= 8),
                "input_px",
                self.input_px,
                "112; a patch side for an iresnet",
            ),
        ]
        for holds, key, got, allowed in rules:
            if not holds:
                raise ParamsError(
                    f"A network's {key} is not possible.", got=got, allowed=allowed, where=f"arch {self.arch}"
                )

    @property
    def first_stride(self) -> int:
        """Stride of the first residual block: 2 on whole faces, 1 on patches, whose maps are small (RRFNet Table I)."""
        return 2 if self.input_px == IMAGE_PX else 1

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {**dataclasses.asdict(self), "blocks": list(self.blocks)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], where: object = None) -> "NetworkSpec":
        """The inverse of to_json.

        Raises:
            CheckpointError: a field is missing or unknown, or its value is not possible; names `where` it was read.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if set(fields) != names:
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
    """The spec of a `networks.<name>` or `regions.network` section of params.yaml (core.params.Network).

    Args:
        section: any object with the fields of core.params.Network; not imported here, so that networks need no
            pydantic.
        input_px: 112, or the patch side for a region network.
    """
    return NetworkSpec(
        arch=section.arch,
        blocks=() if section.arch == "mobilefacenet" else tuple(section.blocks),
        width=section.width,
        embedding_dim=section.embedding_dim,
        patch_px=section.patch_px,
        layout=section.layout,
        mask_share=section.mask_share,
        mask_mode=section.mask_mode,
        input_px=input_px,
    )
