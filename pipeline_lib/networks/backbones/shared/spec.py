"""What a network is: everything its layers are built from, as plain values that go into JSON."""

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, model_validator

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.data.patches.grid import LAYOUTS
from pipeline_lib.params.networks import Patches
from pipeline_lib.params.section import Positive, Section

# Residual blocks of ArcFace's published IResNets. ResNet-50, BagNet's in its own paper, has as many as r34.
BLOCK_PRESETS = {
    "r18": (2, 2, 2, 2),
    "r34": (3, 4, 6, 3),
    "r50": (3, 4, 14, 3),
    "r100": (3, 13, 30, 3),
    "r200": (6, 26, 60, 6),
}


def _counted(blocks: object) -> object:
    if not isinstance(blocks, str):
        return blocks
    if blocks not in BLOCK_PRESETS:
        raise ValueError(f"{blocks} is none of {', '.join(BLOCK_PRESETS)}")
    return BLOCK_PRESETS[blocks]


# Residual blocks of four stages, or the name of a preset.
Blocks = Annotated[tuple[Positive, Positive, Positive, Positive], BeforeValidator(_counted)]


class NetworkSpec(Section):
    """A network's shape; a kind's `Spec` adds the keys of its own, and refuses those of others.

    Attributes:
        PACKAGE: the folder of kinds that `arch` is a module of.
        arch: the kind.
        embedding_dim: D, the length of an embedding.
        input_px: side of the square input; 112, or the patch side of a region network.
        patches: what makes it an RRFNet: the kind's layers see single patches, and its other keys are of theirs.

    Raises:
        ValidationError: a key is unknown or missing, or values do not belong together; names the key.
    """

    PACKAGE: ClassVar[str] = "networks.backbones"

    arch: str
    embedding_dim: Positive = 512
    input_px: Positive = FACE_PX
    patches: Patches | None = None

    @property
    def side_px(self) -> int:
        """Side of what the layers see: a patch, or the whole input."""
        return self.input_px if self.patches is None else self.patches.side_px

    @property
    def first_stride(self) -> int:
        """Stride of the first layers: 2 on whole faces, 1 on patches, whose maps are small (RRFNet Table I)."""
        return 2 if self.side_px == FACE_PX else 1

    @property
    def min_px(self) -> int:
        """The smallest side that the layers can look at."""
        return 8

    def of_patches(self) -> Self:
        """Of an RRFNet, the spec of the network that each patch goes through."""
        assert self.patches is not None, "only an RRFNet has patches"
        return self.model_copy(update={"input_px": self.patches.side_px, "patches": None})

    def to_json(self) -> dict[str, Any]:
        """The keys as JSON values."""
        return self.model_dump(mode="json")

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        key = "input_px"
        if self.patches is not None:
            key, layouts = "patches.side_px", LAYOUTS[self.patches.side_px]
            if self.patches.layout not in layouts:
                raise ValueError(
                    f"patches.layout {self.patches.layout}: patches of {self.patches.side_px} px have {', '.join(layouts)}"
                )
            if self.input_px != FACE_PX:
                raise ValueError(f"input_px {self.input_px}: patches are cut from faces of {FACE_PX} px")
        if self.side_px < self.min_px:
            raise ValueError(f"{key} {self.side_px}: {self.arch} needs at least {self.min_px} px")
        return self
