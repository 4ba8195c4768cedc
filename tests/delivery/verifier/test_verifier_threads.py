"""One loaded verifier asked by many clients at once, as `mlflow models serve` asks it."""

import itertools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tiny_verifier import write_tiny

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.data.synthetic.identity import sample_identity
from pipeline_lib.data.synthetic.render import render_photo
from pipeline_lib.delivery.verifier.answers import Comparison
from pipeline_lib.delivery.verifier.verifier import Verifier

NUM_CLIENTS = 8


@pytest.mark.parametrize(("num_times", "explain"), [(4, False), (1, True)], ids=["plain", "explained"])
def test_clients_at_once_get_the_answers_of_one_alone(tmp_path: Path, num_times: int, explain: bool) -> None:
    """Detection, networks, score and picture: everything that a served model shares among its threads."""
    rng = np.random.default_rng(1)
    photos = [encode_png(render_photo([sample_identity(rng)], rng, 160)[0]) for _ in range(3)]
    pairs = list(itertools.combinations(photos, 2)) * num_times
    verifier = Verifier.load(write_tiny(tmp_path))

    def ask(pair: tuple[object, object]) -> Sequence[Comparison]:
        return verifier.compare([pair], explain)

    alone = [ask(pair) for pair in pairs]
    with ThreadPoolExecutor(NUM_CLIENTS) as pool:
        together = list(pool.map(ask, pairs))
    assert [answer.error for (answer,) in alone] == [None] * len(pairs)
    assert together == alone
