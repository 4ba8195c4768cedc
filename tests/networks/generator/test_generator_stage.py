"""The stage on the smallest data: what it writes, and that its figures are those of its table."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import torch
import yaml
from stage_data import write_stage_data
from tiny_generator import SETTINGS

from pipeline_lib.core.tables import read_table
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.networks.backbones.iresnet import Spec
from pipeline_lib.networks.backbones.shared.build import build_network
from pipeline_lib.networks.backbones.shared.checkpoints import save_network
from pipeline_lib.networks.generator.samples import draw_latents, make_faces
from pipeline_lib.schemas.nearest_faces import EMBEDDINGS, FAKE_TO_TRAINING, MEASURES, NEAREST_FACES, RELATIONS
from stages import train_generator

NUM_TRAINING, NUM_JUDGED = 12, 64


def test_what_the_stage_writes(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stage_data(Path("data"))
    save_network(Path("data/networks/net"), build_network(Spec(blocks=(1, 1, 1, 1), width=0.125, embedding_dim=8), 1))
    params = {"embed": {"mirror": True}, "generators": {"gan": SETTINGS.model_dump() | {"judge": "net"}}}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    out = Path("data/generators/gan")
    train_generator.main("gan", Path("data/networks/net"), Path("data/align"), out)

    loaded = torch.jit.load(out / "generator.pt")
    latents = draw_latents(NUM_JUDGED, loaded.latent_dim, SETTINGS.seed, SETTINGS.num_steps)
    fakes = make_faces(loaded, latents, torch.device("cpu"), 64)
    assert np.array_equal(decode_image((out / "sheet.png").read_bytes())[112:224, :112], fakes[8])
    table = read_table(out / "nearest.parquet", NEAREST_FACES)
    counts = {
        (measure, relation): pc.sum(
            pc.and_(pc.equal(table["measure"], measure), pc.equal(table["relation"], relation))
        ).as_py()
        for measure in MEASURES
        for relation in RELATIONS
    }
    of_fakes = {FAKE_TO_TRAINING, "fake_to_fake"}
    assert counts == {key: NUM_JUDGED if key[1] in of_fakes else NUM_TRAINING for key in counts}
    figures = json.loads((out / "metrics.json").read_text())
    assert (figures["num_images"], figures["num_identities"], figures["num_judged"]) == (NUM_TRAINING, 3, NUM_JUDGED)
    to_training = table.filter(
        pc.and_(pc.equal(table["measure"], EMBEDDINGS), pc.equal(table["relation"], FAKE_TO_TRAINING))
    )["cosine"].to_numpy()
    assert figures["embeddings.num_copies"] == (to_training >= figures["embeddings.copy_cosine"]).sum()
    assert figures["embeddings.median.fake_to_training"] == pytest.approx(np.median(to_training))
    assert not Path(".resume/generators/gan").exists()
    assert (out / "history.csv").read_text().splitlines()[-1].startswith("7,")
    assert all((out / f"nearest_{measure}.png").is_file() for measure in MEASURES)
