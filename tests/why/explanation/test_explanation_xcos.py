"""xCos beside a network: both maps, mirrored images, and what is refused."""

import numpy as np
import pytest
import torch

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.networks.backbones.shared.build import build_over
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.over import xcos as over_xcos
from pipeline_lib.why.explanation import xcos
from pipeline_lib.why.explanation.shared.cell_map import cell_map
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation


def module_over(network: FaceNetwork) -> FaceNetwork:
    """With running statistics and attention as if trained."""
    made = build_over(over_xcos.Settings(over=("it",), channels=8), {"it": network}, seed=2)
    assert isinstance(made, over_xcos.XCos)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        made.norm.running_mean.normal_(0, 0.3, generator=generator)
        for weight in (made.logit.weight, made.place, made.norm.bias):
            weight.normal_(0, 0.7, generator=generator)
    return made.eval()


def explain(embedder: Embedder, faces: np.ndarray, which: str = "attention") -> Explanation:
    return xcos.explain(embedder, embedder.pair(faces), xcos.Settings(map=which), np.random.default_rng(0))


@pytest.mark.parametrize("name", ["iresnet", "rrfnet56", "bagnet17"])
def test_both_maps_are_of_its_cells(mirror, network_named, faces, name):
    """With mirrored images a cell of xCos is the sum of its own cells of both images, m(i) of the mirrored one at place i."""
    network = network_named(name)
    module = module_over(network)
    embedder = Embedder(network, mirror, images_per_batch=8, beside=module)
    with torch.inference_mode():
        x = embedder.on_device(embedder.pair(faces).inputs)
        cells = module.patch_features(x)
        if mirror:
            boxes = network.grid.tolist()
            order = [boxes.index([112 - w - x, y, w, h]) for x, y, w, h in boxes]
            cells = cells + module.patch_features(x.flip(3))[:, order]
        attention, cosines = module.compare(*cells[:, None])
    for which, values in (("attention", attention), ("cosine", cosines)):
        found = explain(embedder, faces, which)
        for one in found.maps:
            np.testing.assert_allclose(one, cell_map(values[0].numpy(), network.grid), rtol=1e-3, atol=1e-5)  # float32
        np.testing.assert_array_equal(found.boxes, network.grid)
        assert found.terms is None
        assert found.score == embedder.pair(faces).score
    attention_map = explain(embedder, faces).maps[0]
    assert attention_map.min() >= 0
    if name == "iresnet":
        assert attention_map.sum(dtype=np.float64) == pytest.approx(16 * 16)  # W sums to 1 over cells of 16 x 16 px
    assert np.abs(explain(embedder, faces, "cosine").maps).max() <= 1
    swapped = explain(embedder, faces[::-1], "cosine").maps
    np.testing.assert_allclose(swapped, explain(embedder, faces, "cosine").maps, atol=1e-4)


def test_what_is_beside_must_be_an_xcos_over_this_network(network_named, faces):
    network = network_named("iresnet")
    with pytest.raises(ParamsError, match=r"needs a trained xCos[\s\S]*got: none[\s\S]*networks_over/"):
        explain(Embedder(network, True, 8), faces)
    with pytest.raises(ParamsError, match=r"needs a trained xCos[\s\S]*arch iresnet"):
        explain(Embedder(network, True, 8, beside=network_named("iresnet")), faces)
    other = network_named("iresnet")
    module = module_over(other)
    explain(Embedder(network, True, 8, beside=module), faces)
    with torch.no_grad():
        other.fc.bias += 1e-3
    with pytest.raises(ParamsError, match=r"stands on another network[\s\S]*over it, whose weights are others"):
        explain(Embedder(network_named("iresnet"), True, 8, beside=module), faces)
    with pytest.raises(ParamsError, match="stands on another network"):
        explain(Embedder(network_named("bagnet17"), True, 8, beside=module), faces)


def test_cells_and_embeddings_without_a_direction_are_refused(network_named, faces):
    network = network_named("iresnet")
    module = module_over(network)
    embedder = Embedder(network, False, 8, beside=module)
    pair = embedder.pair(faces)
    with torch.no_grad():
        for broken in (0.0, float("nan")):
            module.norm.weight.fill_(broken)
            module.norm.bias.fill_(broken)
            with pytest.raises(DataError, match="feature vector is zero, NaN"):
                xcos.explain(embedder, pair, xcos.Settings(), np.random.default_rng(0))
    network = network_named("iresnet")
    embedder = Embedder(network, False, 8, beside=module_over(network))
    with torch.no_grad():
        network.fc.weight.zero_()
        network.fc.bias.zero_()
        network.features.bias.zero_()
        network.features.running_mean.zero_()
    with pytest.raises(DataError, match="feature vector is zero, NaN"):
        explain(embedder, faces)
