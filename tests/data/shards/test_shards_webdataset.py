"""The lines of docs/your-data.md that read our shards with plain WebDataset."""

import re
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.data.shards.images import MEMBERS, decode_image, encode_image
from pipeline_lib.data.shards.writer import ShardWriter


@pytest.mark.parametrize("format", list(MEMBERS))
def test_the_documented_lines_read_shards_of_both_formats(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch, format: str
) -> None:
    rng = np.random.default_rng(0)
    data = [encode_image(rng.integers(0, 256, (112, 112, 3), np.uint8), format) for _ in range(5)]
    shards = tmp_path / "data" / "align" / "shards"
    shards.mkdir(parents=True)
    with ShardWriter(shards, "aligned", images_per_shard=2) as writer:
        for i, image in enumerate(data):
            members = {MEMBERS[format]: image, "json": b'{"identity": "Ann"}'}
            named = {"image_id": f"f{i}", "identity": "Ann", "split": "train"}
            writer.write(f"f{i}", members, **named, landmarks=np.zeros((5, 2), np.float32), score=1.0)
    page = (repository / "docs/your-data.md").read_text()
    [lines] = re.findall(r"```python\n(import glob, webdataset\n.*?)```", page, re.S)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(lines, names)
    found = list(names["faces"])
    assert [about for _, about in found] == [{"identity": "Ann"}] * 5
    for (image, _), stored in zip(found, data, strict=True):
        assert image.dtype == np.uint8
        # Pillow's decoder and simplejpeg's round alike up to one level
        assert np.abs(image.astype(int) - decode_image(stored)).max() <= (0 if format == "png" else 1)
