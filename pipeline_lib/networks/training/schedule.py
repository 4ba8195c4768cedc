"""The learning rate of every step."""

from collections.abc import Collection

DECAY = 0.1


def learning_rate(
    step: int, num_steps: int, num_warmup_steps: int, peak: float, decay_steps: Collection[int] | None = None
) -> float:
    """Linear warm-up from 0, then polynomial decay of power 1 to 0 (METHODS section 3), or a tenth from each of some steps on.

        step < w:  peak (step + 1) / (w + 1)
        else:      peak (1 - (step - w) / (num_steps - w)),   or peak 0.1^(how many of decay_steps are <= step)

    The first step takes a (w+1)-th of the peak (ArcFace's public code starts its first step at the full rate), step w
    the whole of it, and the last step is above 0, so none is wasted. w = 0 starts at the peak.

    Args:
        step: 0 to num_steps - 1.
        num_steps: steps of the whole training.
        num_warmup_steps: w; a warm-up longer than the training only rises.
        peak: highest rate.
        decay_steps: None for the polynomial.
    """
    if not 0 <= step < num_steps:
        raise ValueError(f"step {step} is not one of {num_steps}")
    if step < num_warmup_steps:
        return peak * (step + 1) / (num_warmup_steps + 1)
    if decay_steps is not None:
        return peak * DECAY ** sum(step >= decay for decay in decay_steps)
    return peak * (1 - (step - num_warmup_steps) / (num_steps - num_warmup_steps))
