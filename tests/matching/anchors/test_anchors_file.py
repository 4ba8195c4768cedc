"""The anchor file, and who and what anchors are refused for."""

import numpy as np
import pytest
from some_anchors import anchors

from pipeline_lib.core.cosine import unit
from pipeline_lib.core.errors import DataError
from pipeline_lib.matching.anchors.shared.anchors import (
    Anchors,
    check_state,
    check_strangers,
    read_anchors,
    write_anchors,
)
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings

RNG = np.random.default_rng(5)


def test_anchors_among_the_people_verified_are_named():
    some = anchors(np.eye(2), ["al", "bo"])
    check_strangers(some, {"cy"})
    with pytest.raises(DataError, match=r"\['bo'\]"):
        check_strangers(some, {"bo", "cy"})
    assert some.of(["bo", "cy", "al"]).tolist() == [1, -1, 0]


def test_anchors_of_another_state_of_the_network_are_refused(tmp_path):
    some, names = anchors(np.eye(2), ["al", "bo"]), ["a"]
    vectors = EmbeddingSet(names, names, names, ["test"], [None], np.ones((1, 2), np.float32), None, [])
    write_embeddings(tmp_path / "same", vectors, "d")
    check_state(some, tmp_path / "same")
    write_embeddings(tmp_path / "other", vectors, "e")
    with pytest.raises(DataError, match=r"another state of net[\s\S]*got: d[\s\S]*allowed: e"):
        check_state(some, tmp_path / "other")
    write_embeddings(tmp_path / "unsaid", vectors)
    with pytest.raises(DataError, match=r"do not say which weights[\s\S]*unsaid"):
        check_state(some, tmp_path / "unsaid")


def test_round_trip_and_damage(tmp_path):
    path, vectors = tmp_path / "anchors.arrow", unit(RNG.normal(size=(3, 5)))
    write_anchors(path, Anchors(["a", "b", "c"], ["al", "bo", "cy"], vectors, "net", 0.5, 2, "folder", "digest"))
    found = read_anchors(path)
    assert (found.image_ids, found.identities) == (["a", "b", "c"], ["al", "bo", "cy"])
    said = found.network, found.scale, found.num_neighbours, found.kind, found.weights_digest
    assert said == ("net", 0.5, 2, "folder", "digest")
    np.testing.assert_allclose(found.vectors, vectors, rtol=0, atol=1e-7)  # normalised once more
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="damaged"):
        read_anchors(path)
    with pytest.raises(DataError, match="build_anchors"):
        read_anchors(tmp_path / "absent.arrow")
