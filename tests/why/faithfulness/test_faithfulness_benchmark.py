"""A whole pair through a small RRFNet: additivity, determinism, sampling, summaries."""

import numpy as np
import pyarrow as pa
import pytest
import torch

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.schemas.faithfulness import FAITHFULNESS
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.why.explanation.shared.rrf_pair import Embedder, explain_pair, to_network_space
from pipeline_lib.why.faithfulness.insertion_deletion import Curves
from pipeline_lib.why.faithfulness.pair_sample import sample_pairs
from pipeline_lib.why.faithfulness.rrf_benchmark import faithfulness_rows, mean_curve_rows, measure_pair, summarise


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    torch.manual_seed(0)
    spec = NetworkSpec("rrfnet", (1, 1, 1, 1), 0.0625, 16, patch_px=56, layout="cross5")
    return Embedder(build_network(spec).eval(), batch_size=3)


@pytest.fixture(scope="module")
def pair() -> np.ndarray:
    return to_network_space(np.random.default_rng(0).integers(0, 256, size=(2, 112, 112, 3)).astype(np.uint8))


def test_network_space_is_minus_one_to_one_channels_first() -> None:
    image = np.zeros((1, 2, 2, 3), np.uint8)
    image[..., 1] = 255
    found = to_network_space(image)
    assert found.shape == (1, 3, 2, 2)
    assert found[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]


def test_the_maps_of_a_network_sum_to_its_cosine(embedder: Embedder, pair: np.ndarray) -> None:
    explained = explain_pair(embedder, pair)
    a, b = (embedder(image[None])[0] for image in pair)
    cosine = float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
    for saliency in explained.maps:
        assert saliency.sum() == pytest.approx(cosine, abs=1e-6)  # the network's mean over patches is float32
    assert explained.additivity_error < 1e-6


def test_batches_do_not_change_embeddings(embedder: Embedder, pair: np.ndarray) -> None:
    many = np.concatenate([pair] * 4)
    np.testing.assert_allclose(embedder(many)[:2], Embedder(embedder.network, 100)(many)[:2], rtol=1e-4, atol=1e-6)


def test_a_pair_is_measured_the_same_twice_and_on_both_sides(embedder: Embedder, pair: np.ndarray) -> None:
    first, error = measure_pair(embedder, pair, 2, 5.0, (1, 2))
    again, _ = measure_pair(embedder, pair, 2, 5.0, (1, 2))
    assert error < 1e-6  # as above
    for method in ("own", "random"):
        np.testing.assert_array_equal(first[method].insertion, again[method].insertion)
        # At the ends nothing depends on the map: the untouched pair's cosine.
        cosine = explain_pair(embedder, pair).terms.sum()
        assert first[method].deletion[0] == pytest.approx(cosine, abs=1e-6)
        assert first[method].insertion[-1] == pytest.approx(cosine, abs=1e-6)
    other, _ = measure_pair(embedder, pair, 2, 5.0, (1, 3))
    assert not np.array_equal(first["random"].deletion, other["random"].deletion)


def test_summaries_worked_by_hand() -> None:
    flat = [
        {"own": Curves(np.full(3, own), np.full(3, 1 - own)), "random": Curves(np.full(3, 0.5), np.full(3, 0.5))}
        for own in (0.6, 0.8)
    ]
    summary = summarise(flat)
    assert summary["own"] == pytest.approx(
        {"insertion_mean": 0.7, "insertion_std": 0.1, "deletion_mean": 0.3, "deletion_std": 0.1}
    )
    assert summary["random"]["insertion_std"] == 0.0
    rows = mean_curve_rows(flat)
    assert len(rows) == 2 * 2 * 3
    assert rows[1] == ("own", "insertion", 0.5, pytest.approx(0.7))
    table = table_from_rows(faithfulness_rows([("a", "b"), ("c", "d")], flat), FAITHFULNESS)
    assert table.num_rows == 4
    assert table["insertion_auc"].to_pylist() == pytest.approx([0.6, 0.5, 0.8, 0.5])


def pairs_table() -> pa.Table:
    rows = [
        {"protocol": protocol, "fold": 0, "image_a": f"a{n}", "image_b": f"b{n}", "genuine": n % 2 == 0}
        for protocol in ("lfw", "again")
        for n in range(20)
    ]
    rows.append({"protocol": "val", "fold": 0, "image_a": "v", "image_b": "w", "genuine": True})
    return table_from_rows(rows, PAIRS)


def splits(last: int = 20) -> dict[str, str]:
    return {"v": "val", "w": "val", **{f"{side}{n}": "test" for side in "ab" for n in range(last)}}


def test_pairs_are_drawn_from_the_aligned_test_images_once_each() -> None:
    table = pairs_table()
    drawn = sample_pairs(table, splits(10), True, 100, seed=3)
    assert sorted(drawn) == [(f"a{n}", f"b{n}") for n in range(0, 10, 2)]
    shuffled = table.take(np.random.default_rng(0).permutation(table.num_rows))
    assert drawn == sample_pairs(shuffled, splits(10), True, 100, seed=3)
    assert drawn[:3] == sample_pairs(table, splits(10), True, 3, seed=3)
    assert all(int(a[1:]) % 2 for a, _ in sample_pairs(table, splits(), False, 100, seed=3))


def test_no_pair_to_draw_is_an_error_unless_none_is_wanted() -> None:
    with pytest.raises(DataError, match="no genuine pair"):
        sample_pairs(pairs_table(), {}, True, 3, seed=0)
    assert sample_pairs(pairs_table(), {}, True, 0, seed=0) == []
