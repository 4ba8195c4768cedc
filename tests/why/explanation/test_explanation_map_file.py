"""Maps on disk: what was written comes back, and damage is named."""

import numpy as np
import pyarrow as pa
import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.map_file import open_maps, read_maps
from pipeline_lib.why.explanation.shared.pair_sample import SampledPair


def explanation(seed: int, with_terms: bool) -> Explanation:
    rng = np.random.default_rng(seed)
    maps = rng.normal(size=(2, 112, 112)).astype(np.float32)
    if not with_terms:
        return Explanation(maps, 0.25, confidence=0.75)
    return Explanation(maps, 0.5, rng.normal(size=(3, 3)), rng.integers(0, 50, size=(3, 4)))


def pair(image_a: str, image_b: str, genuine: bool) -> SampledPair:
    return SampledPair("lfw", image_a, image_b, "p", "q", genuine, 0, True, False, 0)


def test_explanations_come_back(tmp_path):
    split, whole = explanation(0, True), explanation(1, False)
    with open_maps(tmp_path / "maps.arrow") as writer:
        writer.write(pair("a", "b", True), split)
        writer.write(pair("c", "d", False), whole)
        assert not (tmp_path / "maps.arrow").exists()
    first, second = read_maps(tmp_path / "maps.arrow").to_pylist()
    keys = ("protocol", "image_a", "image_b", "genuine", "score")
    assert [first[key] for key in keys] == ["lfw", "a", "b", True, 0.5]
    assert [second[key] for key in keys] == ["lfw", "c", "d", False, 0.25]
    for row, found in ((first, split), (second, whole)):
        for side, key in enumerate(("map_a", "map_b")):
            np.testing.assert_array_equal(np.float32(row[key]).reshape(112, 112), found.maps[side])
    np.testing.assert_array_equal(np.reshape(first["terms"], (3, 3)), split.terms)
    np.testing.assert_array_equal(first["boxes"], split.boxes)
    assert [row["confidence"] for row in (first, second)] == [None, 0.75]
    assert second["terms"] is None
    assert second["boxes"] is None


def test_no_pair_is_a_table_of_none(tmp_path):
    with open_maps(tmp_path / "maps.arrow"):
        pass
    assert read_maps(tmp_path / "maps.arrow").num_rows == 0


def test_what_is_no_file_of_maps_is_named(tmp_path):
    path = tmp_path / "maps.arrow"
    with pytest.raises(DataError, match="run the explain stage"):
        read_maps(path)
    with open_maps(path) as writer:
        writer.write(pair("a", "b", True), explanation(0, True))
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DataError, match="truncated"):
        read_maps(path)
    table = pa.table({"image_a": ["a"]})
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    with pytest.raises(DataError, match="other columns"):
        read_maps(path)
