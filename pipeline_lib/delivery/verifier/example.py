"""The model's input example: two rendered photographs of one person who does not exist, so no one's face travels with it."""

import numpy as np

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo

SEED, SIZE_PX = 1, 250


def example_photographs() -> tuple[bytes, bytes]:
    """Two PNG photographs of one rendered person, always the same two."""
    rng = np.random.default_rng(SEED)
    identity = sample_identity(rng)
    first, second = (encode_png(render_photo([identity], rng, SIZE_PX)[0]) for _ in range(2))
    return first, second
