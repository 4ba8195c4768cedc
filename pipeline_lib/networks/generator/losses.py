"""The game: non-saturating losses (Goodfellow et al. 2014) and the R1 penalty (Mescheder et al. 2018, eq. 9)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """mean softplus(-D(x)) + mean softplus(D(G(z))), the cross-entropy of telling real from fake.

    Args:
        real, fake: logits float32 (B,) and (B',).

    Returns:
        float32 scalar, >= 0; 2 log 2 where every logit is 0.
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """mean softplus(-D(G(z))), float32 scalar >= 0: the fakes' cross-entropy had they been real; its gradient does not
    vanish where the discriminator is sure.
    """
    return F.softplus(-fake).mean()


def r1_penalty(real: Tensor, faces: Tensor, gamma: float) -> Tensor:
    """gamma/2 · mean ‖∂D(x)/∂x‖² over real faces, float32 scalar, differentiable by D's weights.

    Args:
        real: logits (B,), a function of `faces`, sample by sample.
        faces: (B,3,S,S), requiring a gradient.
        gamma: the penalty's weight, >= 0.
    """
    (slopes,) = torch.autograd.grad(real.sum(), faces, create_graph=True)
    return gamma / 2 * slopes.square().flatten(1).sum(dim=1).mean()
