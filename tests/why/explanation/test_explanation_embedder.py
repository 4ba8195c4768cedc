"""What explanations explain is what the embed stage embeds: the same vectors, patches and cosine."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import DataError
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.why.explanation import additive
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder


def test_a_pair_is_embedded_as_by_the_embed_stage(embedder, faces):
    pair = embedder.pair(faces)
    embeddings, patches = embed_images(embedder.network, faces, embedder.mirror, 2)
    np.testing.assert_allclose(pair.embeddings, embeddings, rtol=1e-5, atol=1e-6)  # float32, in other batches
    np.testing.assert_allclose(pair.patches, patches, rtol=1e-5, atol=1e-6)
    a, b = embeddings.astype(np.float64)
    assert pair.score == pytest.approx(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)), abs=1e-6)


def test_inputs_are_minus_one_to_one_channels_first(faces):
    images = np.zeros_like(faces)
    images[..., 1] = 255
    inputs = EmbeddedPair(images, np.ones((2, 1), np.float32), np.ones((2, 1, 1), np.float32)).inputs
    assert inputs.shape == (2, 3, 112, 112)
    assert inputs[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]
    assert images[0, 0, 0].tolist() == [0, 255, 0]


def test_batches_do_not_change_embeddings(embedder, faces):
    pair = embedder.pair(faces)
    many = np.concatenate([pair.inputs] * 4)
    in_one = Embedder(embedder.network, embedder.mirror, 100)(many)
    np.testing.assert_allclose(embedder(many), in_one, rtol=1e-4, atol=1e-6)  # float32, in other batches
    np.testing.assert_allclose(in_one[:2], pair.embeddings, rtol=1e-4, atol=1e-6)


def test_embeddings_have_gradients(embedder, faces):
    x = torch.from_numpy(embedder.pair(faces).inputs).requires_grad_()
    embedder.embed(x).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


def test_a_pair_without_a_direction_has_no_score(faces):
    pair = EmbeddedPair(faces, np.zeros((2, 4), np.float32), np.zeros((2, 1, 4), np.float32))
    with pytest.raises(DataError, match="zero"):
        _ = pair.score


def test_a_mean_is_taken_off_embeddings_of_every_sort(mirror, network_named, faces):
    network, mean = network_named("rrfnet56"), np.linspace(-0.5, 0.5, 16, dtype=np.float32)
    plain, centred = Embedder(network, mirror, 8), Embedder(network, mirror, 8, mean=mean)
    pair = centred.pair(faces)
    np.testing.assert_allclose(pair.embeddings, plain.pair(faces).embeddings - mean, atol=1e-6)  # float32
    np.testing.assert_allclose(centred(pair.inputs), pair.embeddings, atol=1e-6)
    found = additive.explain(centred, pair, additive.Settings(), np.random.default_rng(0))
    assert found.score == pytest.approx(float(cosine(*(plain.pair(faces).embeddings - mean))), abs=1e-6)
    assert abs(found.score - plain.pair(faces).score) > 1e-3
    assert found.additivity_error == pytest.approx(0.0, abs=1e-5)
