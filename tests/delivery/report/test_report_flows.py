"""Flows of a re-ranking's examples, from stored maps alone."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.delivery.report.flows import open_flows
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings

GRID = np.array([[28 * (place % 4), 28 * (place // 4), 28, 28] for place in range(16)], np.int64)
ENTRY = {
    "kind": "emd", "network": "net", "with": "none", "queries": "occluded", "centred": False, "index": "exact", "top_k": 8,
    "alpha": 0.7, "weights": "apc", "pool": 1, "regularisation": 0.05, "tolerance": 1e-4, "max_iterations": 1000,
}  # fmt: skip
KEYS = ["a", "b", "opposite"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A gallery of a face, one whose cells are the first's in reverse order, and one that resembles it nowhere."""
    first = np.random.default_rng(0).random((16, 24)).astype(np.float32) + np.eye(16, 24, dtype=np.float32) * 9
    patches = np.stack([first, first[::-1], -first])
    columns = KEYS, KEYS, ["p", "p", "q"], ["test"] * 3, [None] * 3
    write_embeddings(tmp_path / "gallery" / "net", EmbeddingSet(*columns, patches.mean(axis=1), patches, KEYS, GRID))
    return tmp_path


def test_a_cell_flows_to_its_like_and_the_picture_is_put_together_from_it(data: Path) -> None:
    flows = open_flows(data, ENTRY)
    assert flows is not None
    flow = flows.between("a", "b")
    assert flow is not None
    assert flow.plan.argmax(axis=1).tolist() == list(range(16))[::-1]
    np.testing.assert_allclose(flow.plan.sum(axis=1), flow.weights[0], atol=1e-4)  # the solver's tolerance
    np.testing.assert_allclose(flow.plan.sum(axis=0), flow.weights[1], atol=1e-4)
    face = np.zeros((112, 112, 3), np.uint8)
    face[84:, 84:] = 200  # the last cell
    drawn = flow.drawn(face, face)
    assert drawn[:28, :28].any()
    assert not drawn[28:, 28:].any()
    assert [picture.shape for picture in flow.weighed(face, face)] == [(112, 112, 3)] * 2


def test_averaged_cells_have_their_own_boxes(data: Path) -> None:
    flows = open_flows(data, {**ENTRY, "pool": [2, 1]})
    assert flows is not None
    flow = flows.between("a", "b")
    assert flow is not None
    assert flow.plan.shape == (4, 16)
    assert flow.grids[0].tolist() == [[0, 0, 56, 56], [56, 0, 56, 56], [0, 56, 56, 56], [56, 56, 56, 56]]


def test_where_nothing_flows_there_is_no_flow(data: Path) -> None:
    flows = open_flows(data, ENTRY)
    assert flows is not None
    assert flows.between("a", "opposite") is None


def test_other_kinds_and_galleries_that_are_gone_have_none(data: Path) -> None:
    assert open_flows(data, {**ENTRY, "kind": "face_vit"}) is None
    assert open_flows(data, {**ENTRY, "network": "gone"}) is None
