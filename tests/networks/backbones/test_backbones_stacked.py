"""Networks computed as one against each computed alone."""

import copy

import pytest
import torch
from torch import Tensor

from pipeline_lib.core.kinds import kind_names, load_kind
from pipeline_lib.networks.backbones import bagnet, iresnet, mobilefacenet
from pipeline_lib.networks.backbones.shared.build import BACKBONES, build_network, is_stackable
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.stacked import StackedNetworks

TINY = {"blocks": (1, 1, 1, 1), "width": 0.125, "embedding_dim": 16}
SPECS = {
    "iresnet": iresnet.Spec(**{**TINY, "blocks": (1, 2, 1, 1)}, input_px=28),
    "mobilefacenet": mobilefacenet.Spec(embedding_dim=16, input_px=28),
    "bagnet17": bagnet.Spec(field_px=17, **TINY, input_px=28),
    "bagnet33": bagnet.Spec(field_px=33, **TINY, input_px=56),
}
NUM = 3


def networks(arch: str) -> list[FaceNetwork]:
    """Three of one spec and different weights, frozen ones and statistics included."""
    found = [build_network(SPECS[arch], seed) for seed in range(NUM)]
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for network in found:
            for name, value in (*network.named_parameters(), *network.named_buffers()):
                if value.dim() == 1 and "bias" not in name:  # norms' weights and variances, PReLU's slopes
                    value.mul_(0.8 + 0.4 * torch.rand(value.shape, generator=generator))
    return found


def inputs(arch: str) -> Tensor:
    """(6,NUM,3,S,S)."""
    side = SPECS[arch].input_px
    return torch.rand(6, NUM, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_all_that_can_be_stacked_are_tested() -> None:
    kinds = {kind: load_kind(BACKBONES, kind, "here") for kind in kind_names(BACKBONES)}
    assert {spec.arch for spec in SPECS.values()} == {kind for kind, module in kinds.items() if module.STACKABLE}
    assert all(is_stackable(spec) for spec in SPECS.values())
    of_patches = iresnet.Spec(**TINY, patches={"side_px": 28, "layout": "all49"})
    assert not is_stackable(of_patches)  # it takes whole faces apart


@pytest.mark.parametrize("arch", SPECS)
def test_embeddings_gradients_and_statistics_are_those_of_each_alone(arch: str) -> None:
    together, images = networks(arch), inputs(arch)
    alone = copy.deepcopy(together)
    stacked = StackedNetworks(together)
    slopes = torch.randn(6, NUM, 16, generator=torch.Generator().manual_seed(2))
    embeddings = stacked(images)
    (embeddings * slopes).sum().backward()
    gradients = {name: parameter.grad for name, parameter in stacked.body.named_parameters()}
    for number, network in enumerate(alone):
        expected = network(images[:, number])
        (expected * slopes[:, number]).sum().backward()
        torch.testing.assert_close(embeddings[:, number], expected, rtol=1e-4, atol=1e-4)
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad:
                assert gradients[name] is None
                continue
            found, wanted = stacked.parts(gradients[name])[number], parameter.grad
            # float32 sums in another order; a bias before a normalisation has no gradient but these sums' errors
            assert (found - wanted).norm() <= 1e-3 * wanted.norm() + 1e-4, name
        statistics = dict(together[number].named_buffers())
        for name, buffer in network.named_buffers():
            torch.testing.assert_close(
                statistics[name], buffer, rtol=1e-4, atol=1e-5, msg=lambda text, n=name: n + text
            )
    assert all(int(network.state_dict()["bn2.num_batches_tracked"]) == 1 for network in together if arch == "iresnet")


@pytest.mark.parametrize("arch", SPECS)
def test_networks_and_stack_share_their_weights(arch: str) -> None:
    together, images = networks(arch), inputs(arch)
    stacked = StackedNetworks(together).eval()
    with torch.no_grad():
        for parameter in stacked.parameters():  # as an optimiser does
            parameter.mul_(0.9)
        changed = [network.eval()(images[:, number]) for number, network in enumerate(together)]
        torch.testing.assert_close(stacked(images), torch.stack(changed, dim=1), rtol=1e-4, atol=1e-4)
        before = stacked(images)
        together[1].load_state_dict(networks(arch)[2].state_dict())  # as a checkpoint does
        after = stacked(images)
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    torch.testing.assert_close(after[:, 1], networks(arch)[2].eval()(images[:, 1]).detach(), rtol=1e-4, atol=1e-4)


def test_weights_keep_their_memory_format() -> None:
    """A contiguous weight would cost a conversion in each step."""
    stacked = StackedNetworks(networks("iresnet"))
    weight = stacked.body.layer2[0].conv1.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert weight.shape[0] == NUM * 16
