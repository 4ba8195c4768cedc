"""The combined distance of DeepFace-EMD as a pair score."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.scores.emd import Emd, Settings
from pipeline_lib.matching.scores.shared.columns import open_entry, scored_columns
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.matching.scores.shared.reads import reads_below
from pipeline_lib.matching.scores.shared.saved import load_scorer, save_scorer
from pipeline_lib.networks.embeddings.store import write_embeddings
from pipeline_lib.params.scores import Score
from tests.matching.scores.made import NUM, PAIR_ROWS, embedded, write_data
from tests.oracles.transport import sinkhorn_plan

ENTRY = Score.model_validate({"kind": "emd", "of": "with_patches/net", "weights": "apc", "alpha": 0.6})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    grid = np.array([(x, y, 56, 56) for y in (0, 56) for x in (0, 56)], np.int64)
    plain = embedded(rng.normal(size=(NUM, 6)))
    patches = (rng.normal(size=(NUM, 4, 5)) + 1).astype(np.float32)
    stored = dataclasses.replace(plain, patches=patches, patch_keys=plain.keys, grid=grid)
    write_embeddings(write_data(tmp_path) / "with_patches/net", stored)
    return tmp_path


def by_formula(patches: np.ndarray, vectors: np.ndarray, a: int, b: int) -> float:
    unit = patches.astype(np.float64) / np.linalg.norm(patches, axis=2, keepdims=True)
    means = patches.mean(axis=1, dtype=np.float64)
    weights = [np.maximum(0, unit[one] @ means[other]) for one, other in ((a, b), (b, a))]
    cosines = unit[a] @ unit[b].T
    emd = (sinkhorn_plan(cosines, *weights, 0.05) * cosines).sum()
    return 0.6 * emd + 0.4 * float(cosine(vectors[a], vectors[b]))


def test_a_column_is_the_blend_of_both_and_serves_photographs(data: Path, tmp_path: Path) -> None:
    reads = reads_below(data, ENTRY)
    scorers = open_entry("emd", ENTRY, reads)
    column = scored_columns(scorers, reads)["emd"]
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(NUM, 6)).astype(np.float32)
    patches = (rng.normal(size=(NUM, 4, 5)) + 1).astype(np.float32)
    expected = [by_formula(patches, vectors, a, b) for _, _, a, b in PAIR_ROWS]
    np.testing.assert_allclose(column, expected, atol=1e-4)  # the tolerance of the marginals
    save_scorer(tmp_path / "saved", scorers["emd"])
    served = load_scorer(tmp_path / "saved")
    assert served.needs == scorers["emd"].needs
    for (_, _, a, b), value in zip(PAIR_ROWS, column, strict=True):
        both = [Faces(vectors=vectors[[row]], patches=patches[[row]]) for row in (a, b)]
        assert served.score(*both)[0] == pytest.approx(value, abs=1e-6)  # cosines of one row or of many


def test_pairs_without_weights_or_convergence_are_named(data: Path) -> None:
    opposite = [Faces(np.ones((1, 2), np.float32), sign * np.ones((1, 4, 5), np.float32)) for sign in (1, -1)]
    with pytest.raises(DataError, match=r"all 0[\s\S]*pair 0"):
        Emd("net", Settings(weights="apc")).score(*opposite)
    assert Emd("net", Settings(alpha=1.0)).score(*opposite)[0] == pytest.approx(-1, abs=1e-4)  # the tolerance
    entry = Score.model_validate({**ENTRY.model_dump(by_alias=True), "max_iterations": 1})
    reads = reads_below(data, entry)
    with pytest.raises(DataError, match=r"did not converge[\s\S]*im\d, im\d"):
        scored_columns(open_entry("emd", entry, reads), reads)


def test_embeddings_without_patches_are_refused(data: Path) -> None:
    entry = Score.model_validate({"kind": "emd", "of": "embed/net"})
    with pytest.raises(DataError, match=r"embed.patches: \[net\]"):
        open_entry("emd", entry, reads_below(data, entry))
