"""Face-ViT over a frozen network: its formula written out, its order, its losses and gradients, what stays, files, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_training import HEAD as ARCFACE
from tiny_training import TRAIN, changed, one_process

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.networks.backbones import dlib_resnet, iresnet
from pipeline_lib.networks.backbones.shared.build import build_network, build_over, describe
from pipeline_lib.networks.backbones.shared.checkpoints import load_network, save_network
from pipeline_lib.networks.backbones.shared.network import FaceNetwork
from pipeline_lib.networks.backbones.shared.spec import NetworkSpec
from pipeline_lib.networks.embedding.folded import folded
from pipeline_lib.networks.heads import none
from pipeline_lib.networks.heads.shared.build import build_head
from pipeline_lib.networks.over.face_vit import FaceViT
from pipeline_lib.networks.over.hybrid_vit import HybridViT
from pipeline_lib.networks.over.shared.settings import over_settings
from pipeline_lib.networks.training.data import Batch
from pipeline_lib.networks.training.learner import Learner, micro_batches
from pipeline_lib.networks.training.trainee import Trainee, new_trainee
from pipeline_lib.params.networks import NetworkOver, Patches
from tests.oracles.face_vit_forward import features

SPEC = iresnet.Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8, patches=Patches(side_px=56, layout="cross5"))
SMALL = {"depth": 2, "heads": 3, "dim": 12, "head_dim": 4}
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 112, 112, 3), dtype=np.uint8)
PEOPLE = np.array([0, 0, 1, 0, 1, 1, 0, 1])
ARC, NONE = {"kind": "arcface", "scale": 8.0, "margin": 0.2}, {"kind": "none"}


def over(frozen: FaceNetwork, kind: str = "face_vit", seed: int = 3, **keys: object) -> FaceNetwork:
    head = NONE if keys.get("output") == "cls" else ARC
    entry = NetworkOver(kind=kind, over=["it"], epochs=1, head=head, **{**SMALL, **keys})
    return build_over(over_settings(entry, "params.yaml, networks_over.x"), {"it": frozen}, seed)


@pytest.fixture(scope="module", params=["linear", "cls"])
def face_vit(request: pytest.FixtureRequest) -> FaceViT:
    """Over an RRFNet of five patches, every weight its own: nothing is left at zero or one."""
    dim = {"embedding_dim": 10} if request.param == "linear" else {}
    made = over(build_network(SPEC, 1), output=request.param, **dim).eval()
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.encoder.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


def patches_of(face_vit: FaceViT, num: int) -> torch.Tensor:
    images = torch.from_numpy(IMAGES[:num] / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        return face_vit.patch_features(images)


def written_out(face_vit: FaceViT, a: torch.Tensor, b: torch.Tensor) -> dict[str, np.ndarray]:
    state = {name: value.numpy() for name, value in face_vit.encoder.state_dict().items()}
    return features(state, a.double().numpy(), b.double().numpy(), SMALL["depth"], SMALL["heads"])


def test_features_and_scores_are_those_written_out(face_vit: FaceViT) -> None:
    patches, encoder = patches_of(face_vit, 4), face_vit.encoder
    with torch.no_grad():
        tokens = encoder.tokens(patches)
        found = encoder.features(tokens[:2], tokens[2:])
        scores = face_vit.compare(patches[:2], patches[2:])
    for pair in range(2):
        a, b = patches[pair], patches[2 + pair]
        wanted = written_out(face_vit, a, b)
        for mine, theirs in zip(
            found, [wanted[n] for n in ("f1", "f2")] if "f1" in wanted else [wanted["cls"]] * 2, strict=True
        ):
            np.testing.assert_allclose(mine[pair], theirs, atol=2e-4)  # float32, of values of order 1
        if float(tokens[pair].sum()) > float(tokens[2 + pair].sum()):
            wanted = written_out(face_vit, b, a)
        if "logit" in wanted:
            expected = 2 / (1 + np.exp(-wanted["logit"])) - 1
        else:
            expected = wanted["f1"] @ wanted["f2"] / np.linalg.norm(wanted["f1"]) / np.linalg.norm(wanted["f2"])
        assert float(scores[pair]) == pytest.approx(expected, abs=1e-4)


def test_a_score_knows_no_order_no_company_and_no_length(face_vit: FaceViT) -> None:
    patches = patches_of(face_vit, 8)
    with torch.no_grad():
        there, back = face_vit.compare(patches[:4], patches[4:]), face_vit.compare(patches[4:], patches[:4])
        assert torch.equal(there, back)
        alone = torch.cat([face_vit.compare(patches[[i]], patches[[4 + i]]) for i in range(4)])
        torch.testing.assert_close(alone, there, rtol=0, atol=1e-6)
        tokens = face_vit.encoder.tokens(patches)
        torch.testing.assert_close(face_vit.encoder.compare(tokens[:4], tokens[4:]), there, rtol=0, atol=1e-6)
        longer = face_vit.compare(7 * patches[:4], patches[4:])  # an image and its mirror image are a sum
        torch.testing.assert_close(longer, there, rtol=0, atol=1e-3)  # LayerNorm's 1e-5 beside the variance
        assert (
            not torch.equal(*face_vit.encoder.features(tokens[:1], tokens[1:2])[::-1])
            or face_vit.encoder.settings.output == "cls"
        )
    assert there.dtype == torch.float32
    assert (there.abs() <= 1).all()
    assert there.std() > 0
    assert face_vit.compare(patches[:0], patches[:0]).shape == (0,)


def test_it_sees_both_images(face_vit: FaceViT) -> None:
    """What comes out of the first image depends on the second: cross attention, and not two networks side by side."""
    tokens = face_vit.encoder.tokens(patches_of(face_vit, 3)).detach()
    one, other = (face_vit.encoder.features(tokens[:1], tokens[i : i + 1])[0] for i in (1, 2))
    assert float((one - other).detach().abs().max()) > 1e-3


def test_a_single_image_is_seen_beside_itself(face_vit: FaceViT) -> None:
    images = torch.from_numpy(IMAGES[:3] / 127.5 - 1).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        embeddings, patches = face_vit.forward_with_patches(images)
        theirs = face_vit.frozen_networks()["it"].patch_features(images)
    assert torch.equal(patches, theirs)
    assert np.array_equal(face_vit.grid, face_vit.frozen_networks()["it"].grid)
    wanted = written_out(face_vit, patches[1], patches[1])
    wanted = (wanted["f1"] + wanted["f2"]) / 2 if "f1" in wanted else wanted["cls"]
    np.testing.assert_allclose(embeddings[1], wanted, atol=2e-4)
    assert embeddings.shape[1] == face_vit.spec.embedding_dim == (10 if face_vit.spec.output == "linear" else 12)
    with torch.no_grad():
        mine = folded(face_vit).forward_with_patches(images)
    for one, other in zip(mine, (embeddings, patches), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_losses_are_of_pairs_and_their_gradient_is_right(face_vit: FaceViT) -> None:
    images, labels = torch.from_numpy(IMAGES), torch.from_numpy(PEOPLE)
    head = ARCFACE if face_vit.spec.output == "linear" else none.Settings()
    trainee = Trainee(face_vit, build_head(head, face_vit.spec.embedding_dim, 2)).eval()
    patches = patches_of(face_vit, 8)
    wanted = [written_out(face_vit, patches[i], patches[i + 1]) for i in range(0, 8, 2)]
    whole = trainee(images, labels, None, None)
    if face_vit.spec.output == "cls":
        chances = 1 / (1 + np.exp([-each["logit"] for each in wanted]))
        genuine = PEOPLE[0::2] == PEOPLE[1::2]
        assert genuine.any()
        assert not genuine.all()
        expected = -np.mean(np.log(np.where(genuine, chances, 1 - chances)))
    else:
        both = np.concatenate([[each["f1"], each["f2"]] for each in wanted]).astype(np.float32)
        expected = float(trainee.head(torch.from_numpy(both), labels).detach())
    assert float(whole.detach()) == pytest.approx(expected, rel=1e-3)

    positions = face_vit.encoder.positions
    (slope,) = torch.autograd.grad(trainee(images, labels, None, None), positions)
    with torch.no_grad():
        before, step = positions.clone(), 0.02 * slope / slope.norm()
        ends = []
        for sign in (1, -1):
            positions.copy_(before + sign * step)
            ends.append(float(trainee(images, labels, None, None)))
        positions.copy_(before)
    # float32 differences; straight_through leaves ArcFace's slope of the angle out (networks.heads.arcface)
    tolerance = 0.03 if face_vit.spec.output == "cls" else 0.3
    assert (ends[0] - ends[1]) / 0.04 == pytest.approx(float(slope.norm()), rel=tolerance)


@pytest.mark.parametrize("keys", [{"output": "linear"}, {"output": "cls"}, {"kind": "hybrid_vit"}], ids=str)
def test_a_step_trains_all_that_is_above_and_leaves_the_frozen_network(keys: dict[str, str]) -> None:
    frozen = build_network(SPEC, 1)
    network = over(frozen, **keys)
    settings = changed(TRAIN, ema_decay=0.5)
    head = none.Settings() if keys.get("output") == "cls" else ARCFACE
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learner = Learner({"it": new_trainee(network, head, settings, 2)}, settings, one_process())
    batch = Batch([IMAGES], PEOPLE, None, None, np.arange(8))
    for _ in range(2):
        learner.take_step(micro_batches(batch, [0], 4, torch.device("cpu")), 0.05)
    learner.finish()
    differ = {name for name, value in network.state_dict().items() if not torch.equal(before[name], value)}
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert trained <= differ
    assert not any(name.startswith("frozen.") for name in differ)
    assert not any(one.training for one in network.frozen_networks().values())


@pytest.mark.parametrize(
    ("kind", "spec", "num_cells"),
    [("face_vit", dlib_resnet.Spec(published=False, cells=4), 16), ("hybrid_vit", SPEC, 5)],
    ids=["face_vit over dlib_resnet", "hybrid_vit"],
)
def test_files_hold_all_of_it_over_any_grid(kind: str, spec: NetworkSpec, num_cells: int, tmp_path: Path) -> None:
    network = over(build_network(spec, 1), kind, embedding_dim=6).eval()
    save_network(tmp_path, network)
    loaded = load_network(tmp_path)
    assert loaded.spec == network.spec
    images = torch.rand(2, 3, 112, 112)
    with torch.inference_mode():
        mine, theirs = loaded.forward_with_patches(images), network.forward_with_patches(images)
    assert mine[0].shape == (2, 6)
    assert mine[1].shape[:2] == (2, num_cells) == (2, len(loaded.grid))
    assert all(torch.equal(one, other) for one, other in zip(mine, theirs, strict=True))
    assert loaded.in_pairs == (kind == "face_vit")
    assert "depth 2, heads 3" in describe(network.spec)


def test_the_hybrid_vit_reads_its_class_token() -> None:
    network = over(build_network(SPEC, 1), "hybrid_vit", embedding_dim=6).eval()
    assert isinstance(network, HybridViT)
    images = torch.rand(2, 3, 112, 112)
    with torch.no_grad():
        tokens = network.tokens(network.frozen_networks()["it"].patch_features(images))
        whole = torch.cat([network.cls_token.expand(2, -1, -1), tokens], dim=1) + network.positions
        wanted = network.norm(network.layers(whole))
        found = network.forward_with_patches(images)
    assert torch.equal(found[1], wanted[:, 1:])
    torch.testing.assert_close(found[0], network.fc(wanted[:, 0]) / np.sqrt(1 + 1e-5))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output": "both"}, "output"),
        ({"depth": 0}, "depth"),
        ({"over": ["it", "other"]}, "over"),
        ({"output": "cls"}, "head none"),
        ({"head": NONE}, "head that is not none"),
        ({"epochs": 0}, "head none"),
    ],
    ids=str,
)
def test_impossible_entries_are_refused(changes: dict[str, object], said: str) -> None:
    entry = {"kind": "face_vit", "over": ["it"], "epochs": 1, "head": ARC, **SMALL, **changes}
    with pytest.raises(ParamsError, match=rf"{said}[\s\S]*networks_over\.x|networks_over\.x[\s\S]*{said}"):
        over_settings(NetworkOver(**entry), "params.yaml, networks_over.x")


def test_the_class_token_s_length_is_the_embedding_s() -> None:
    with pytest.raises(ParamsError, match="embedding_dim 9"):
        over(build_network(SPEC, 1), output="cls", embedding_dim=9)
