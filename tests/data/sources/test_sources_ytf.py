"""Clips of people, in YouTube Faces' layout, on made data."""

from collections import Counter
from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.sources import ytf
from pipeline_lib.data.sources.shared.manifest import build_manifest
from tests.data.sources.test_sources_manifest import ingest, photograph, source

LINES = ["1, Ann_Lee/0, Ann_Lee/3, 1, 0", "1, Ann_Lee/0, Bob/1, 0, 0", "2, Cem/0, Cem/1, 1, 1", "2, Cem/0, Bob/1, 0, 0"]
HEADER = "split number, first name, second name, is same, is direct"


def write_clips(root: Path, lines: list[str], below: str = "frame_images_DB") -> Path:
    for clip in ("Ann_Lee/0", "Ann_Lee/3", "Bob/1", "Cem/0", "Cem/1"):
        for frame in range(3):
            photograph(root / below / clip / f"{clip[-1]}.{frame}.jpg")
    (root / "splits.txt").write_text("\n".join(lines))
    return root


@pytest.mark.parametrize(
    ("lines", "below"), [(LINES, "frame_images_DB"), ([HEADER, *LINES], "aligned_images_DB"), (LINES, "")]
)
def test_a_clip_is_a_template_of_one_medium(tmp_path: Path, lines: list[str], below: str) -> None:
    faces = ytf.read(write_clips(tmp_path, lines, below))
    assert len(faces.photos) == 15
    assert faces.all_names == {"ann_lee", "bob", "cem"}
    assert Counter(row.template for row in faces.templates)["ytf-Ann_Lee-3"] == 3
    assert all(row.template == row.media for row in faces.templates)
    pairs = [(pair.fold, pair.image_a, pair.image_b, pair.genuine) for pair in faces.pairs]
    assert pairs[:2] == [(0, "ytf-Ann_Lee-0", "ytf-Ann_Lee-3", True), (0, "ytf-Ann_Lee-0", "ytf-Bob-1", False)]
    assert pairs[3] == (1, "ytf-Cem-0", "ytf-Bob-1", False)


def test_it_becomes_a_manifest(tmp_path: Path) -> None:
    faces = ytf.read(write_clips(tmp_path, LINES))
    built = build_manifest([(source("ytf", "test"), faces)], ingest(val_share=0.0))
    assert built.counts["num_templates"] == 5
    assert built.pairs["protocol"].to_pylist() == ["ytf"] * 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1, Ann_Lee/7, Bob/1, 0, 0", r"no frames here[\s\S]*Ann_Lee/7"),
        ("1, Ann_Lee/0, Bob/1, 1, 0", "contradicts"),
        ("1, Ann_Lee/0, Bob/1, maybe, 0", "none that is known"),
        ("0, Ann_Lee/0, Bob/1, 0, 0", "malformed"),
        ("1, Ann_Lee, Bob/1, 0, 0", "malformed"),
        ("1, Ann_Lee/0, Bob/1, 0", "5 fields"),
        ("2, Bob/1, Ann_Lee/0, 0, 0", "repeated"),
        ("2, Bob/1, Bob/1, 1, 0", "of one clip"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str, message: str) -> None:
    write_clips(tmp_path, [*LINES, line])
    with pytest.raises(DataError, match=message + r"[\s\S]*splits\.txt:5"):
        ytf.read(tmp_path)


def test_no_files_no_frames(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frames"):
        ytf.read(tmp_path)
    photograph(tmp_path / "Ann/0/1.jpg")
    with pytest.raises(DataError, match=r"missing[\s\S]*splits\.txt"):
        ytf.read(tmp_path)
