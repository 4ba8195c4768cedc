"""The three embedding stages on small sets: exactly the images that somebody needs, with what they need of them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from fitted_networks import SMALL, SPECS, network, write_pairs, write_set

import stages.common_embedding
import stages.embed
import stages.embed_gallery
import stages.embed_regions
import stages.embed_teacher
from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.data.patches.grid import parse_region
from pipeline_lib.data.sources.shared.training_pairs import draw_training_pairs
from pipeline_lib.networks.backbones import iresnet
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.embedding.extract import embed_images, embed_region_images
from pipeline_lib.networks.embeddings import duplicate_search
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.occlusions import OCCLUSIONS
from pipeline_lib.schemas.training_pairs import TRAINING_PAIRS

SPLITS = ["train"] * 30 + ["val"] * 6 + ["test"] * 6
KEYS = [f"im{number:02d}" for number in range(len(SPLITS))]
PAIRS = [("val", "im30", "im33"), ("lfw", "im36", "im41"), ("lfw", "im37", "im41"), ("lfw", "im38", "gone")]
CLOSE = {"rtol": 1e-4, "atol": 1e-4}  # folded networks, other batches: sums in another order, of features of about 1


@pytest.fixture
def project(tmp_path, monkeypatch) -> tuple[Path, np.ndarray, dict[str, float]]:
    """A working directory as the stages find it; the images of align, and what is logged."""
    monkeypatch.chdir(tmp_path)
    images = write_set(Path("align"), KEYS, SPLITS)
    write_pairs(Path("pairs.parquet"), PAIRS)
    Path("params.yaml").write_text(
        yaml.safe_dump({"embed": {"mirror": True}, "galleries": {"rrf": {"of": "networks", "near_duplicates": True}}})
    )
    Path("machine.yaml").write_text("images_per_batch: 4")
    logged: dict[str, float] = {}

    class Run:
        """Keeps what is logged."""

        log_metrics = staticmethod(logged.update)

    @contextmanager
    def stage_run(stage: str, params: Mapping[str, object], inputs: Mapping[str, Path]) -> Iterator[Run]:
        logged["stage"] = stage
        yield Run()

    monkeypatch.setattr(stages.common_embedding, "stage_run", stage_run)
    return tmp_path, images, logged


def test_embed_takes_the_images_of_pairs_and_keeps_no_patches(project):
    _, images, logged = project
    model = network(SPECS["iresnet"])
    save_network(Path("networks/plain"), model)
    stages.embed.main(Path("networks/plain"), Path("align"), Path("pairs.parquet"), Path("out"))
    found = read_embeddings(Path("out"), with_patches=True)
    assert found.keys == ["im30", "im33", "im36", "im37", "im38", "im41"]
    assert (found.grid, found.patch_keys) == (None, [])
    rows = [KEYS.index(key) for key in found.keys]
    np.testing.assert_allclose(found.vectors, embed_images(model, images[rows], True, 6)[0], **CLOSE)
    assert logged == {"stage": "embed@plain", "num_embedded": 6}


def test_embed_gallery_takes_clean_test_images_and_queries_with_patches(project, monkeypatch):
    _, images, logged = project
    monkeypatch.setattr(duplicate_search, "MOST_COPIED", 4)
    keys, purposes = ["im02+crop", "im36+crop", "im40+mask_n95"], ["train", "query", "query"]
    write_set(Path("occlude"), keys, ["train", "test", "test"])
    rows: list[dict[str, object]] = [
        {"key": key, "image_id": key[:4], "kind": key[5:], "purpose": purpose, "drawn": "{}"}
        for key, purpose in zip(keys, purposes, strict=True)
    ]
    write_table(Path("occlude/occlusions.parquet"), table_from_rows(rows, OCCLUSIONS), OCCLUSIONS)
    model = network(SPECS["rrfnet56"])
    save_network(Path("networks/rrf"), model)
    attacked = ["im37+adversarial", "im39+adversarial"]
    write_set(Path("attack/adversarial"), attacked, ["test"] * 2)
    rows = [
        {"key": key, "image_id": key[:4], "kind": "adversarial", "purpose": "query", "drawn": "{}"} for key in attacked
    ]
    write_table(Path("attack/adversarial/occlusions.parquet"), table_from_rows(rows, OCCLUSIONS), OCCLUSIONS)
    Path("attack/.gitkeep").touch()
    stages.embed_gallery.main(Path("networks/rrf"), Path("align"), Path("occlude"), Path("attack"), Path("out"))
    found = read_embeddings(Path("out"), with_patches=True)
    assert found.keys == found.patch_keys == [*KEYS[36:], "im36+crop", "im40+mask_n95", *attacked]
    assert found.kinds == [None] * 6 + ["crop", "mask_n95"] + ["adversarial"] * 2
    vectors, patches = embed_images(model, images[36:], True, 6)
    np.testing.assert_allclose(found.vectors[:6], vectors, **CLOSE)
    np.testing.assert_allclose(found.patches[:6], patches, **CLOSE)
    np.testing.assert_array_equal(found.grid, model.grid)
    assert read_json(Path("out/near_duplicates.json"))["num_images"] == len(
        KEYS
    )  # training and validation people's, too
    assert logged == {"stage": "embed_gallery@rrf", "num_gallery": 6, "num_queries": 4}


ALIGNED_AND_PAIRS = (Path("align"), Path("pairs.parquet"))


def test_embed_regions_takes_pairs_and_the_drawn_training_pairs_alone(project):
    _, images, logged = project
    places = ("p56_x0_y28", "p28_x14_y0")
    spec = {place: iresnet.Spec(**SMALL, input_px=int(place[1:3])) for place in places}
    models = {place: network(spec[place], seed) for seed, place in enumerate(places)}
    for place, model in models.items():
        save_network(Path("region_networks/both", place), model)
    identities = [f"id{place // 3:02d}" for place in range(len(KEYS))]
    drawn: set[str] = set()
    for seed in (1, 2):
        pairs = draw_training_pairs(KEYS, identities, SPLITS, 6, 2, np.random.default_rng(seed))
        write_table(Path(f"training_pairs/fit{seed}.parquet"), pairs, TRAINING_PAIRS)
        drawn |= {*pairs["image_a"].to_pylist(), *pairs["image_b"].to_pylist()}
    Path("training_pairs/.gitkeep").touch()
    stages.embed_regions.main(Path("region_networks/both"), *ALIGNED_AND_PAIRS, Path("training_pairs"), Path("out"))
    found = read_embeddings(Path("out"), with_patches=True)
    assert 0 < len(drawn) < 30  # or the test would not tell drawn images from all
    needed = {KEYS[row] for row in (30, 33, 36, 37, 38, 41)} | drawn
    assert found.keys == found.patch_keys == [key for key in KEYS if key in needed]
    assert found.vectors.shape == (len(found.keys), 0)
    assert found.grid.tolist() == [[14, 0, 28, 28], [0, 28, 56, 56]]
    rows = [KEYS.index(key) for key in found.keys]
    networks = {parse_region(place): models[place] for place in sorted(places)}
    np.testing.assert_allclose(found.patches, embed_region_images(networks, images[rows], 64), **CLOSE)
    assert logged == {"stage": "embed_regions@both", "num_embedded": len(rows), "num_positions": 2}


def test_a_position_alone_and_a_folder_without_networks(project):
    _, _, logged = project
    model = network(iresnet.Spec(**SMALL, input_px=56))
    save_network(Path("region_networks/p56_x28_y28/p56_x28_y28"), model)
    networks = Path("region_networks/p56_x28_y28")
    stages.embed_regions.main(networks, *ALIGNED_AND_PAIRS, Path("absent"), Path("out"))
    assert read_embeddings(Path("out")).grid.tolist() == [[28, 28, 56, 56]]
    assert logged["stage"] == "embed_region@p56_x28_y28"
    Path("none").mkdir()
    with pytest.raises(DataError, match="no region networks"):
        stages.embed_regions.main(Path("none"), *ALIGNED_AND_PAIRS, Path("absent"), Path("out2"))


@pytest.mark.parametrize(("num_gpus", "most"), [(0, 0), (1, 1), (4, 4)])
def test_processes_auto_takes_one_a_gpu(monkeypatch, num_gpus, most):
    monkeypatch.setattr("torch.cuda.device_count", lambda: num_gpus)
    assert [num for num in range(1, 9) if stages.common_embedding.fits(num)] == list(range(1, most + 1))


def test_embed_teacher_takes_both_views_of_the_training_images_and_keeps_their_mean(project):
    _, images, logged = project
    model = network(SPECS["iresnet"])
    save_network(Path("networks/seer"), model)
    stages.embed_teacher.main(Path("networks/seer"), Path("align"), Path("out"))
    found = read_embeddings(Path("out"), with_patches=True)
    assert found.keys == found.patch_keys == KEYS[:30]
    views = [embed_images(model, faces, False, 6)[0] for faces in (images[:30], images[:30, :, ::-1])]
    np.testing.assert_allclose(found.patches, np.stack(views, axis=1), **CLOSE)
    assert np.abs(views[0] - views[1]).max() > 0.01  # or the test would not tell the views apart
    about = json.loads(Path("out/mean.json").read_text())
    assert about["num_images"] == 30
    np.testing.assert_allclose(about["mean"], found.patches.mean(axis=(0, 1)), rtol=1e-5, atol=1e-6)
    assert logged == {"stage": "embed_teacher@seer", "num_embedded": 30}
