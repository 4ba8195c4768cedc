"""Faces of nobody, made by a generator (DAM's fake-db, section 3.2)."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pipeline_lib.core.errors import CheckpointError, DataError
from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.progress import track
from pipeline_lib.matching.anchors.shared.kind import Found, Inputs
from pipeline_lib.matching.anchors.shared.settings import FromPath
from pipeline_lib.params.section import Positive

OF_TRAINING = False
MADE_AT_ONCE = 64  # whatever the machine: a batch's size may decide the last bit of an image
SLACK = 1e-3  # beyond [-1, 1]: rounding


class Settings(FromPath):
    """`from`: a TorchScript file: latents float32 (B, latent_dim) ~ N(0,1) to aligned faces, RGB float32 (B, 3, S, S) in [-1, 1];
    another S than 112 is resized. `latent_dim`: of a file without an attribute of that name.
    """

    latent_dim: Positive | None = None


def find(settings: Settings, inputs: Inputs) -> Found:
    """max_anchors faces of latents drawn by the seed, as many people: generated-000000, ...

    Raises:
        CheckpointError, DataError: see load_generator, made_faces.
    """
    generator, latent_dim = load_generator(settings.path, settings.latent_dim)
    num = inputs.entry.max_anchors
    latents = np.random.default_rng(inputs.entry.seed).standard_normal((num, latent_dim), dtype=np.float32)
    parts = []
    for first in track(range(0, num, MADE_AT_ONCE), f"batches of {MADE_AT_ONCE} generated faces"):
        faces = made_faces(generator, torch.from_numpy(latents[first : first + MADE_AT_ONCE]), settings.path)
        starts = range(0, len(faces), inputs.batch_size)
        parts += [inputs.embed(faces[start : start + inputs.batch_size]) for start in starts]
    names = [f"generated-{number:06d}" for number in range(num)]
    return Found(names, names, np.concatenate(parts))


def load_generator(path: Path, latent_dim: int | None) -> tuple[torch.jit.ScriptModule, int]:
    """A generator, in eval mode on the CPU, and the length of its latents: its own attribute, else `latent_dim`.

    Raises:
        CheckpointError: the file is missing or no TorchScript, or the length is not known, or not the one that is asked for.
    """
    try:
        module: torch.jit.ScriptModule = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        what = "A generator is missing." if not path.exists() else "A generator is no TorchScript file, or is damaged."
        raise CheckpointError(what, got=str(error).splitlines()[0], allowed="torch.jit.save's", where=path) from error
    own = getattr(module, "latent_dim", None)
    if own is None and latent_dim is None:
        problem = "A generator does not say how long its latents are."
        raise CheckpointError(problem, allowed="its attribute latent_dim, or the entry's key latent_dim", where=path)
    if own is not None and latent_dim not in (None, own):
        problem = "A generator's latents have another length than its entry says."
        raise CheckpointError(problem, got=latent_dim, allowed=own, where=path)
    length = latent_dim if own is None else own
    if not isinstance(length, int) or length < 1:
        problem = "A generator's attribute latent_dim is no length."
        raise CheckpointError(problem, got=length, allowed="an int of at least 1", where=path)
    return module.eval(), length


@torch.inference_mode()
def made_faces(generator: torch.jit.ScriptModule, latents: Tensor, where: object) -> npt.NDArray[np.uint8]:
    """Aligned faces, uint8 (B, 112, 112, 3) RGB, of latents float32 (B, latent_dim).

    Raises:
        DataError: the generator takes no such latents, or what it makes is no picture: another type or shape, NaN, infinite,
            or outside [-1, 1].
    """
    try:
        made = generator(latents)
    except RuntimeError as error:
        got = str(error).strip().splitlines()[-1]
        allowed = f"latents float32 {tuple(latents.shape)}"
        raise DataError("A generator does not take its latents.", got=got, allowed=allowed, where=where) from error
    allowed = f"float32 ({len(latents)}, 3, S, S) in [-1, 1]"
    is_picture = isinstance(made, Tensor) and made.dtype == torch.float32 and made.dim() == 4
    if not (is_picture and made.shape[:2] == (len(latents), 3) and made.shape[2] == made.shape[3] > 0):
        got = f"{made.dtype} {tuple(made.shape)}" if isinstance(made, Tensor) else type(made).__name__
        raise DataError("A generator makes something else than pictures.", got=got, allowed=allowed, where=where)
    if not made.isfinite().all() or made.abs().max() > 1 + SLACK:
        got = f"{made.min().item():.4g} to {made.max().item():.4g}" if made.isfinite().all() else "NaN or infinity"
        raise DataError("A generator's pictures have another range.", got=got, allowed=allowed, where=where)
    if made.shape[2] != FACE_PX:
        made = interpolate(made, size=(FACE_PX, FACE_PX), mode="bilinear", antialias=True)
    pixels = ((made.clamp(-1, 1) + 1) * 127.5).round()  # back from core.pixels.network_scale
    return np.asarray(pixels.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy(), np.uint8)
