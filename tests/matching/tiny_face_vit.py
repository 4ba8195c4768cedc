"""A small Face-ViT over a small network, and patch features that fit it."""

from pathlib import Path
from typing import Literal

import numpy as np
import torch

from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.over import face_vit
from pipeline_lib.networks.over.face_vit import FaceViT
from pipeline_lib.params.networks import Patches

SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8, patches=Patches(side_px=56, layout="cross5"))


def tiny_face_vit(output: Literal["linear", "cls"] = "linear", below: str = "it") -> FaceViT:
    """Over a network of five places."""
    keys = {"embedding_dim": 6} if output == "linear" else {}
    settings = face_vit.Settings(over=(below,), output=output, depth=1, heads=2, dim=8, head_dim=4, **keys)
    made = build_over(settings, {below: build_network(SPEC, 1)}, seed=2).eval()
    assert isinstance(made, FaceViT)
    with torch.no_grad():
        for parameter in made.encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    return made


def saved(folder: Path, output: Literal["linear", "cls"] = "linear", below: str = "it") -> FaceViT:
    """The same, in its folder."""
    made = tiny_face_vit(output, below)
    save_network(folder, made)
    return made


def patches_for(network: FaceViT, num: int, seed: int = 0) -> np.ndarray:
    """float32 (num,K,C)."""
    shape = num, network.encoder.num_patches, network.encoder.channels
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
