"""Validation of a network in pairs: what it says of the validation pairs, its frozen part embedded once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from stage_data import write_stage_data
from tiny_training import one_process

from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.networks.embedding.extract import embed_images
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.networks.training.validation import ValidationSet
from tests.matching.tiny_face_vit import tiny_face_vit


def test_it_is_what_compare_says_and_the_frozen_network_is_asked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_stage_data(tmp_path)
    validation = ValidationSet(tmp_path / "align", tmp_path / "ingest" / "pairs.parquet", 3, one_process())
    network = tiny_face_vit()
    found = validation.measure({"h": network})
    images = ShardImages(tmp_path / "align")
    rows = images.image_ids.rows(["v0", "v1", "v2", "v3"]).tolist()
    patches = torch.from_numpy(embed_images(network, images.read(rows), False, 4)[1])
    with torch.no_grad():
        scores = network.compare(patches[[0, 1, 0, 2]], patches[[2, 3, 1, 3]]).numpy()
    assert found["val_auc"] == area_under(roc_curve(scores, np.array([True, True, False, False])))
    monkeypatch.setattr(type(network), "forward_with_patches", lambda *_: pytest.fail("embedded again"))
    assert validation.measure({"h": network}) == found
