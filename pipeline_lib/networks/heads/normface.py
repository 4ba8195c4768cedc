"""NormFace: scaled cosines without a margin (Wang et al. 2017)."""

from torch import Tensor

from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class NormFace(SoftmaxMarginHead):
    """f(cos θ) = cos θ; a margin other than 0 is refused."""

    max_margin = 0.0

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ."""
        return cosine
