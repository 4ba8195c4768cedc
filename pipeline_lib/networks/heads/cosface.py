"""CosFace: an additive margin on the cosine (Wang et al. 2018, eq. 4)."""

from torch import Tensor

from pipeline_lib.networks.heads.shared.softmax_margin import SoftmaxMarginHead


class CosFace(SoftmaxMarginHead):
    """f(cos θ) = cos θ - m, m in cosine up to 2, the whole range of a cosine."""

    max_margin = 2.0

    def target_cosine(self, cosine: Tensor, norms: Tensor, noise: Tensor | None) -> Tensor:
        """cos θ - m."""
        return cosine - self.margin
