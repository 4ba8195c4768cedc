"""The kinds on small networks: sums, frames, and who may be explained by what."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.kinds import kind_names, kind_settings
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.why.explanation import additive, random
from pipeline_lib.why.explanation.shared.additive_terms import additive_explanation
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import KINDS, Explanation, Requires, check_offers

ADDITIVE = ["rrfnet56", "rrfnet28", "bagnet17", "bagnet33"]


@pytest.fixture(params=ADDITIVE)
def embedder(request, mirror, network_named) -> Embedder:
    """Around each additive network, with and without mirrored images."""
    return Embedder(network_named(request.param), mirror, images_per_batch=8)


def explain(embedder: Embedder, faces: np.ndarray) -> Explanation:
    return additive.explain(embedder, embedder.pair(faces), additive.Settings(), np.random.default_rng(0))


def test_terms_and_maps_sum_to_the_cosine_of_the_embeddings(embedder, faces):
    found = explain(embedder, faces)
    a, b = embed_images(embedder.network, faces, embedder.mirror, 2)[0].astype(np.float64)
    cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    assert found.score == pytest.approx(cosine, abs=1e-6)  # float32
    # The network's mean over patches, and the kept maps, are float32.
    assert found.terms.sum() == pytest.approx(cosine, abs=1e-6)
    np.testing.assert_allclose(found.maps.sum(axis=(1, 2), dtype=np.float64), cosine, atol=2e-6)
    assert found.additivity_error < 2e-6
    assert found.terms.shape == (len(found.boxes),) * 2
    np.testing.assert_array_equal(found.boxes, embedder.network.grid)


@pytest.mark.parametrize("name", ADDITIVE)
def test_each_map_lies_in_its_own_image_s_frame(network_named, faces, name):
    """With mirrored features a face and its mirror image have one embedding, so their maps mirror each other."""
    embedder = Embedder(network_named(name), True, images_per_batch=8)
    found, turned = (explain(embedder, images) for images in (faces, np.stack([faces[0, :, ::-1], faces[1]])))
    assert turned.score == pytest.approx(found.score, abs=1e-6)  # float32
    asymmetry = np.abs(found.maps[0] - found.maps[0][:, ::-1]).max()
    assert asymmetry > 0.01 * np.abs(found.maps[0]).max()
    np.testing.assert_allclose(turned.maps[0], found.maps[0][:, ::-1], atol=0.01 * asymmetry)  # float32
    np.testing.assert_allclose(turned.maps[1], found.maps[1], atol=0.01 * asymmetry)


def test_a_patch_s_contribution_follows_its_pixels(network_named, faces):
    """Only the changed patch's own terms change, but for the norm."""
    embedder = Embedder(network_named("rrfnet28"), False, images_per_batch=8)
    other = faces.copy()
    x, y, w, h = embedder.network.grid[0]
    other[0, y : y + h, x : x + w] = 0
    before, after = explain(embedder, faces).terms, explain(embedder, other).terms
    boxes = embedder.network.grid
    apart = (np.abs(boxes[:, 0] - x) >= w) | (np.abs(boxes[:, 1] - y) >= h)
    ratio = after[apart] / before[apart]
    np.testing.assert_allclose(ratio, ratio.flat[0], rtol=1e-3)  # float32 features, some terms near 0
    assert not np.allclose(after[0] / before[0], ratio.flat[0], rtol=1e-2)


def test_embedded_faces_are_explained_without_their_images(embedder, faces):
    _, patches = embed_images(embedder.network, faces, embedder.mirror, 2)
    found = additive_explanation(embedder.network, *patches, mirror=embedder.mirror, score=0.25)
    np.testing.assert_allclose(found.terms, explain(embedder, faces).terms, rtol=1e-4, atol=1e-7)  # float32
    assert found.score == 0.25
    assert found.additivity_error > 1e-3


def test_a_network_that_is_no_sum_is_refused_with_what_would_do(network_named, faces):
    network = network_named("iresnet")
    with pytest.raises(
        ParamsError, match=r"arch iresnet\n.*`patches` or of arch bagnet; .*random.*xssab\n.*params.yaml, x"
    ):
        check_offers(network, additive.REQUIRES, where="params.yaml, x")
    with pytest.raises(ParamsError, match="additive network"):
        explain(Embedder(network, False, 8), faces)
    check_offers(network, random.REQUIRES)


def test_random_maps_are_fixed_by_their_generator(network_named, faces):
    embedder = Embedder(network_named("iresnet"), True, images_per_batch=8)
    pair = embedder.pair(faces)
    first, again = (random.explain(embedder, pair, random.Settings(), np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(first.maps, again.maps)
    assert len(np.unique(first.maps)) > 0.99 * 2 * 112 * 112  # 24 random bits a pixel: some are drawn twice
    assert not np.array_equal(*first.maps)
    assert first.score == pair.score
    assert first.additivity_error is None


@pytest.mark.parametrize("kind", kind_names(KINDS))
def test_every_kind_says_what_it_requires_and_refuses_keys_it_does_not_know(kind):
    module, _ = kind_settings(KINDS, kind, {}, "here")
    assert module.REQUIRES in get_args(Requires)
    with pytest.raises(ParamsError, match=r"wrong_key[\s\S]*here"):
        kind_settings(KINDS, kind, {"wrong_key": 1}, "here")


def test_maps_that_cannot_be_kept_are_errors():
    good = Explanation(np.zeros((2, 112, 112), np.float32), 0.0)
    for bad in (np.zeros((2, 112, 112)), np.zeros((1, 112, 112), np.float32), np.full_like(good.maps, np.nan)):
        with pytest.raises(DataError, match="cannot be kept"):
            replace(good, maps=bad)
