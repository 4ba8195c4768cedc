"""The same bytes twice: one photograph of one person, or a photograph that nobody can be sure of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline_lib.data.photos import place
from pipeline_lib.data.sources.shared.manifest import BuiltManifest, build_manifest
from pipeline_lib.data.sources.shared.probe import TooManyRejects
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos
from pipeline_lib.params.ingest import Ingest, Source


def faces(root: Path, pixels: dict[str, int], pairs: list[tuple[str, str, bool]] | None = None) -> SourceFaces:
    """Photographs person-number of these pixel values; equal values are equal bytes. The pairs are two folds alike."""
    root.mkdir()
    photos = []
    for name, value in pixels.items():
        Image.fromarray(np.full((4, 6, 3), value, np.uint8)).save(root / f"{name}.png")
        identity = name.partition("-")[0]
        photos.append(PhotoRecord(name, identity, str(root / f"{name}.png"), None, name))
    own = [PairRecord("own", fold, a, b, genuine) for fold in (0, 1) for a, b, genuine in pairs or []]
    return SourceFaces(as_photos(photos), own, frozenset(photo.identity for photo in photos))


def build(source: SourceFaces, split: str = "test", **changes: object) -> BuiltManifest:
    place = {"kind": "image_folder", "path": "", "split": split}
    values: dict[str, object] = {
        "root": "unused", "sources": [place], "val_share": 0.0, "test_share": 0.0, "pairs_per_fold": 20, "num_folds": 2,
        "max_identities": None, "max_folds": None, "max_pixels": 1000, "max_reject_share": 0.0, "seed": 1,
    }  # fmt: skip
    return build_manifest([(Source.model_validate(place), source)], Ingest.model_validate(values | changes))


def test_of_copies_under_one_identity_the_first_stays(tmp_path: Path) -> None:
    values = {"ann-1": 1, "ann-2": 1, "ann-3": 3, "bob-1": 4, "bob-2": 5, "bob-3": 4}
    built = build(faces(tmp_path / "x", values))  # no share of rejects is allowed, and none is lost
    assert built.manifest.table()["image_id"].to_pylist() == ["ann-1", "ann-3", "bob-1", "bob-2"]
    rejects = {row["image_id"]: (row["reason"], row["detail"]) for row in built.rejects.to_pylist()}
    assert rejects == {
        "ann-2": ("copy", f"the same bytes as {tmp_path}/x/ann-1.png"),
        "bob-3": ("copy", f"the same bytes as {tmp_path}/x/bob-1.png"),
    }
    drawn = {(row["image_a"], row["image_b"]) for row in built.pairs.to_pylist() if row["genuine"]}
    assert drawn == {("ann-1", "ann-3"), ("bob-1", "bob-2")}
    assert (built.counts["num_input"], built.counts["num_copies"]) == (6, 2)


def test_of_copies_under_two_identities_none_stays(tmp_path: Path) -> None:
    values = {
        "ann-1": 1,
        "ann-2": 2,
        "bob-1": 1,
        "bob-2": 4,
        "cem-1": 6,
        "cem-2": 7,
        "cem-3": 1,
        "dan-1": 8,
        "dan-2": 9,
    }
    built = build(faces(tmp_path / "x", values), max_reject_share=0.4)
    rejects = {row["image_id"]: (row["reason"], row["detail"]) for row in built.rejects.to_pylist()}
    assert rejects == {
        "ann-1": ("two_identities", f"the same bytes as {tmp_path}/x/bob-1.png of bob"),
        "bob-1": ("two_identities", f"the same bytes as {tmp_path}/x/ann-1.png of ann"),
        "cem-3": ("two_identities", f"the same bytes as {tmp_path}/x/bob-1.png of bob"),
    }
    with pytest.raises(TooManyRejects, match=r"(?s)3 of 9 photographs cannot be used.*two_identities: 3") as caught:
        build(faces(tmp_path / "y", values), max_reject_share=0.3)
    assert caught.value.rejects.num_rows == 3


def test_photographs_whose_digests_only_begin_alike_are_no_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {"ann-1": "1", "ann-2": "2", "ann-3": "2", "bob-1": "3", "bob-2": "4", "bob-3": "1"}
    monkeypatch.setattr(place, "sha256_file", lambda path: "0" * 63 + digests[path.stem])
    built = build(faces(tmp_path / "x", dict.fromkeys(digests, 1)), "train", max_reject_share=0.4)
    assert built.manifest.table()["image_id"].to_pylist() == ["ann-2", "bob-1", "bob-2"]
    rejects = {row["image_id"]: row["reason"] for row in built.rejects.to_pylist()}
    assert rejects == {"ann-1": "two_identities", "ann-3": "copy", "bob-3": "two_identities"}


def test_a_photograph_is_in_one_split_only(tmp_path: Path) -> None:
    values = {f"p{n}-{i}": 10 * n + i for n in range(12) for i in range(3)}
    values |= {f"p{n}-9": 10 * (n - 1) for n in range(1, 12)}  # everybody has a photograph of the one before
    built = build(faces(tmp_path / "x", values), "by_identity", val_share=0.3, test_share=0.3, max_reject_share=0.5)
    assert len(set(built.manifest.table()["sha256"].to_pylist())) == built.manifest.table().num_rows == 12 * 2 + 1


def test_a_source_s_pairs_of_a_copy_are_those_of_the_photograph_that_stays(tmp_path: Path) -> None:
    values = {"ann-1": 1, "ann-2": 1, "ann-3": 3, "bob-1": 4}
    pairs = [("ann-1", "ann-2", True), ("ann-2", "ann-3", True), ("ann-2", "bob-1", False)]
    built = build(faces(tmp_path / "x", values, pairs))
    found = [(row["fold"], row["image_a"], row["image_b"]) for row in built.pairs.to_pylist()]
    assert found == [(0, "ann-1", "ann-3"), (0, "ann-1", "bob-1"), (1, "ann-1", "ann-3"), (1, "ann-1", "bob-1")]
    assert built.counts["num_own_pairs_of_copies"] == 2
