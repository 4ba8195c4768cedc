"""The one manifest: rejects, counts, protocols, cuts, overlaps, and what check_manifest refuses."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import sha256_file
from pipeline_lib.core.packed import packed_table
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.sources import image_folder
from pipeline_lib.data.sources.shared.manifest import BuiltManifest, build_manifest, check_manifest
from pipeline_lib.data.sources.shared.names import normalise_name
from pipeline_lib.data.sources.shared.records import PairRecord, PhotoRecord, SourceFaces, as_photos, make_image_id
from pipeline_lib.params.ingest import Ingest, Source
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.rejects import REJECTS


def ingest(**changes: object) -> Ingest:
    values: dict[str, object] = {
        "root": "unused",
        "sources": [{"kind": "image_folder", "path": "", "split": "by_identity"}],
        "val_share": 0.3,
        "test_share": 0.3,
        "pairs_per_fold": 4,
        "num_folds": 3,
        "max_identities": None,
        "max_folds": None,
        "max_pixels": 1000,
        "max_reject_share": 0.5,
        "seed": 1,
    }
    return Ingest.model_validate(values | changes)


def source(kind: str = "image_folder", split: str = "by_identity", path: str = "") -> Source:
    return Source.model_validate({"kind": kind, "path": path, "split": split})


def photograph(path: Path, width: int = 6, height: int = 4) -> Path:
    """A picture of its own: every path has other pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(str(path).encode()))
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(path)
    return path


def make_folder(root: Path, num_identities: int = 20, num_images: int = 3) -> Path:
    for person in range(num_identities):
        for image in range(num_images):
            photograph(root / f"p{person:02d}" / f"{image}.png")
    return root


def faces_of(root: Path, kind: str, names: list[str], num_images: int = 2, pairs: bool = True) -> SourceFaces:
    """A source with two folds: fold 0 pairs the first two people, fold 1 the next two."""
    photos = []
    for name in names:
        for image in range(num_images):
            path = photograph(root / kind / name / f"{image}.png")
            image_id = make_image_id(kind, name, str(image))
            photos.append(PhotoRecord(image_id, normalise_name(name), str(path), None, image_id))
    own = []
    if pairs:
        for fold in (0, 1):
            a, b = names[2 * fold], names[2 * fold + 1]
            own.append(PairRecord(kind, fold, f"{kind}-{a}-0", f"{kind}-{a}-1", True))
            own.append(PairRecord(kind, fold, f"{kind}-{a}-0", f"{kind}-{b}-0", False))
    return SourceFaces(as_photos(photos), own, frozenset(photo.identity for photo in photos))


def rows(table: pa.Table) -> dict[str, dict[str, object]]:
    return {row["image_id"]: row for row in table.to_pylist()}


def build_folder(root: Path, **changes: object) -> BuiltManifest:
    return build_manifest([(source(), image_folder.read(root))], ingest(**changes))


def test_image_folder_end_to_end(tmp_path: Path) -> None:
    built = build_folder(make_folder(tmp_path / "faces"))
    assert built.manifest.table().schema == MANIFEST
    assert built.pairs.schema == PAIRS
    assert built.rejects.schema == REJECTS
    row = rows(built.manifest.table())["faces-p00-0"]
    path = tmp_path / "faces/p00/0.png"
    assert row["uri"] == str(path)
    assert row["sha256"] == sha256_file(path)
    assert (row["width"], row["height"], row["landmarks"], row["media"]) == (6, 4, None, "faces-p00-0")
    splits = {(row["identity"], row["split"]) for row in built.manifest.table().to_pylist()}
    assert Counter(split for _, split in splits) == {"train": 8, "val": 6, "test": 6}
    identity = {name: row["identity"] for name, row in rows(built.manifest.table()).items()}
    split_of = {name: row["split"] for name, row in rows(built.manifest.table()).items()}
    counts: Counter[tuple[str, int, bool]] = Counter()
    for pair in built.pairs.to_pylist():
        assert pair["genuine"] == (identity[pair["image_a"]] == identity[pair["image_b"]])
        wanted = "val" if pair["protocol"] == "val" else "test"
        assert {split_of[pair["image_a"]], split_of[pair["image_b"]]} == {wanted}
        counts[pair["protocol"], pair["fold"], pair["genuine"]] += 1
    assert counts == {(p, f, g): 2 for p in ("val", "image_folder") for f in range(3) for g in (True, False)}
    assert built.counts["num_input"] == built.counts["num_photos"] == 60


def test_the_same_input_gives_the_same_tables_and_another_seed_others(tmp_path: Path) -> None:
    make_folder(tmp_path / "faces")
    one, again, other = (build_folder(tmp_path / "faces", seed=seed) for seed in (1, 1, 2))
    assert one.manifest == again.manifest
    assert one.pairs.equals(again.pairs)
    assert not one.pairs.equals(other.pairs)


def test_a_folder_with_one_image_is_kept(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "faces")
    photograph(root / "single/only.png")
    assert "faces-single-only" in rows(build_folder(root).manifest.table())


def test_every_bad_file_is_a_reject_with_its_reason(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "faces")
    good = (root / "p00/0.png").read_bytes()
    bad = {"empty": b"", "not_an_image": b"a text", "truncated": good[:18]}
    for reason, data in bad.items():
        (root / "p01" / f"{reason}.png").write_bytes(data)
    photograph(root / "p01/too_large.png", 100, 100)
    (root / "p01/unreadable.png").symlink_to(tmp_path / "nowhere")
    built = build_folder(root)
    rejects = {row["image_id"]: row for row in built.rejects.to_pylist()}
    reasons = (*bad, "too_large", "unreadable")
    assert {name: row["reason"] for name, row in rejects.items()} == {
        f"faces-p01-{reason}": reason for reason in reasons
    }
    assert all(
        row["stage"] == "ingest" and row["detail"] and row["uri"].startswith(str(root)) for row in rejects.values()
    )
    assert built.counts["num_input"] == 65 == built.manifest.table().num_rows + built.rejects.num_rows
    assert not set(rejects) & set(rows(built.manifest.table()))
    paired = {pair[side] for pair in built.pairs.to_pylist() for side in ("image_a", "image_b")}
    assert not paired & set(rejects)


def test_too_many_rejects_fail_with_counts_by_reason(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "faces", num_images=1)
    for name in ("a", "b"):
        (root / "p00" / name).write_bytes(b"")
    (root / "p00/c").write_bytes(b"text")
    assert build_folder_rejects(root, 3 / 23) == 3
    with pytest.raises(DataError, match=r"(?s)3 of 23 photographs cannot be used.*empty: 2, not_an_image: 1.*0\.13"):
        build_folder_rejects(root, 0.13)  # 3 / 23 is 0.1304


def build_folder_rejects(root: Path, max_reject_share: float) -> int:
    changes = {"val_share": 0.0, "test_share": 0.0, "max_reject_share": max_reject_share}
    return build_folder(root, **changes).rejects.num_rows


def test_identity_in_two_splits(tmp_path: Path) -> None:
    photograph(tmp_path / "faces/train/Ann Lee/1.png")
    photograph(tmp_path / "faces/test/ann_lee/1.png")
    with pytest.raises(DataError, match="ann_lee in test and train"):
        build_folder(tmp_path / "faces")


def test_two_photographs_with_one_id(tmp_path: Path) -> None:
    root = make_folder(tmp_path / "faces")
    for person in ("p00", "p01"):
        Image.open(root / person / "0.png").save(root / person / "0.bmp")
    with pytest.raises(DataError, match=r"(?s)2 image ids.*p00/0\.bmp and .*p00/0\.png.*p01/0\.bmp and .*p01/0\.png"):
        build_folder(root)


def test_test_source_takes_named_people_of_the_other_source_along(tmp_path: Path) -> None:
    lfw = faces_of(tmp_path, "lfw", ["Ann Lee", "Bob", "Cem", "Dora"])
    lfw = SourceFaces(lfw.photos, lfw.pairs, lfw.all_names | {"p03"})  # named, without a photograph
    names = ["ann-lee", "p01", "p02", "p03", "p04", "p05", "p06", "p07"]
    cfp = faces_of(tmp_path, "cfp", names)
    built = build_manifest([(source("lfw", "test"), lfw), (source("cfp"), cfp)], ingest(test_share=0.0, val_share=0.5))
    split_of = {row["identity"]: row["split"] for row in built.manifest.table().to_pylist()}
    assert {name for name, split in split_of.items() if split == "test"} == {"ann_lee", "bob", "cem", "dora", "p03"}
    assert Counter(split_of.values()) == {"test": 5, "val": 3, "train": 3}
    assert built.counts["num_overlaps_joined"] == 2
    # of cfp's pairs only ann-lee's genuine one is among test people, so the protocol cfp is left out
    assert {pair["protocol"] for pair in built.pairs.to_pylist()} == {"lfw", "val"}


def test_own_pairs_of_other_splits_are_dropped_and_folds_count_without_a_gap(tmp_path: Path) -> None:
    names = [f"p{i}" for i in range(8)]
    cfp = faces_of(tmp_path, "cfp", names)
    lfw = SourceFaces(
        faces_of(tmp_path, "lfw", ["p2", "p3"], pairs=False).photos, [], frozenset()
    )  # so fold 1 of cfp's pairs alone is test, and the people of fold 0 are not
    built = build_manifest([(source("lfw", "test"), lfw), (source("cfp"), cfp)], ingest(test_share=0.0, val_share=0.0))
    own = [pair for pair in built.pairs.to_pylist() if pair["protocol"] == "cfp"]
    assert [(pair["fold"], pair["image_a"], pair["genuine"]) for pair in own] == [
        (0, "cfp-p2-0", True),
        (0, "cfp-p2-0", False),
    ]
    assert built.counts["num_own_pairs_cut"] == 2


def test_max_folds_cuts_pairs_and_the_photographs_of_a_fixed_test_source(tmp_path: Path) -> None:
    lfw = faces_of(tmp_path, "lfw", ["a", "b", "c", "d", "e"])
    folds = [PairRecord("lfw", 2 + p.fold, p.image_a, p.image_b, p.genuine) for p in lfw.pairs]
    more = SourceFaces(lfw.photos, lfw.pairs + folds, lfw.all_names)
    shares = {"val_share": 0.0, "test_share": 0.0}
    whole = build_manifest([(source("lfw", "test"), more)], ingest(**shares))
    assert (whole.manifest.num_rows, whole.pairs.num_rows) == (10, 8)
    cut = build_manifest([(source("lfw", "test"), more)], ingest(**shares, max_folds=2))
    assert set(rows(cut.manifest.table())) == {"lfw-a-0", "lfw-a-1", "lfw-b-0", "lfw-c-0", "lfw-c-1", "lfw-d-0"}
    assert set(cut.pairs["fold"].to_pylist()) == {0, 1}
    assert (cut.counts["num_photos_cut"], cut.counts["num_own_pairs_cut"]) == (4, 4)


def test_max_folds_cuts_a_free_source_s_test_photographs(tmp_path: Path) -> None:
    cfp = faces_of(tmp_path, "cfp", ["a", "b", "c", "d"])
    named = SourceFaces(faces_of(tmp_path, "lfw", ["a", "b"], pairs=False).photos, [], frozenset({"c", "d"}))
    more = [PairRecord("cfp", 2 + p.fold, p.image_a, p.image_b, p.genuine) for p in cfp.pairs if p.fold == 1]
    sources = [
        (source("lfw", "test"), named),
        (source("cfp"), SourceFaces(cfp.photos, cfp.pairs[:2] + more, cfp.all_names)),
    ]
    built = build_manifest(sources, ingest(val_share=0.0, test_share=0.0, max_folds=2))
    assert not {"cfp-c-0", "cfp-d-1"} & set(rows(built.manifest.table()))  # in no pair that is left
    assert built.counts["num_own_pairs_cut"] == 2


def test_max_folds_cuts_drawn_protocols_too(tmp_path: Path) -> None:
    built = build_folder(make_folder(tmp_path / "faces"), max_folds=2)
    assert set(built.pairs["fold"].to_pylist()) == {0, 1}


def test_max_identities_drops_the_photographs_of_the_others(tmp_path: Path) -> None:
    built = build_folder(make_folder(tmp_path / "faces"), max_identities=3)
    splits = {(row["identity"], row["split"]) for row in built.manifest.table().to_pylist()}
    assert Counter(split for _, split in splits) == {"train": 3, "val": 6, "test": 6}
    assert (built.counts["num_train_identities_cut"], built.counts["num_photos_cut"]) == (5, 15)


def test_pairs_of_rejected_photographs_are_dropped_and_counted(tmp_path: Path) -> None:
    lfw = faces_of(tmp_path, "lfw", ["a", "b", "c", "d"])
    (tmp_path / "lfw/b/0.png").write_bytes(b"")
    built = build_manifest([(source("lfw", "test"), lfw)], ingest(val_share=0.0, test_share=0.0))
    assert built.counts["num_own_pairs_rejected"] == 1
    assert "lfw-b-0" not in set(built.pairs["image_b"].to_pylist())


def test_a_protocol_without_impostors_is_left_out_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lfw = faces_of(tmp_path, "lfw", ["a", "b", "c", "d"])
    for name in ("b", "d"):
        (tmp_path / "lfw" / name / "0.png").write_bytes(b"")
    built = build_manifest([(source("lfw", "test"), lfw)], ingest(val_share=0.0, test_share=0.0))
    assert built.pairs.num_rows == 0
    assert (built.counts["num_own_pairs_rejected"], built.counts["num_own_pairs_one_sided"]) == (2, 2)
    assert "protocol lfw is left out: only genuine pairs" in caplog.text


def test_nothing_to_take_in(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no photograph"):
        build_manifest([(source("lfw", "test"), SourceFaces(as_photos([])))], ingest())


def test_names_and_ids() -> None:
    assert normalise_name("Aaron_Eckhart") == normalise_name("  aaron  ECKHART ") == "aaron_eckhart"
    assert normalise_name("Zlatan Ibrahimović") == "zlatan_ibrahimović"
    assert normalise_name("50 Cent") == "50_cent"
    assert normalise_name("O'Brien, J.") == "o_brien_j"
    assert make_image_id("cfp", "001", "frontal", "01") == "cfp-001-frontal-01"
    assert make_image_id("a b/c.d+e") == "a-b-c-d-e"
    assert make_image_id("Jörg") != make_image_id("Jürg")
    assert make_image_id("caf\udce9").isascii()  # a file name that is no UTF-8


def manifest_row(**changes: object) -> dict[str, object]:
    row = {"image_id": "a-1", "identity": "a", "split": "train", "media": "a-1", "uri": "a/1.png", "sha256": "0"}
    return {**row, "width": 1, "height": 1, "landmarks": None, **changes}


@pytest.mark.parametrize("landmarks", [[None, None], [None, [0.5] * 10], [[0.5] * 10, None], []])
def test_null_landmarks_survive_the_disk(tmp_path: Path, landmarks: list[list[float] | None]) -> None:
    table = table_from_rows([manifest_row(landmarks=value) for value in landmarks], MANIFEST)
    write_table(tmp_path / "manifest.parquet", table, MANIFEST)
    assert read_table(tmp_path / "manifest.parquet", MANIFEST).equals(table)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({}, r"(?s)image id twice.*a-1"),
        ({"image_id": "a-2", "split": "test"}, r"(?s)in two splits.*a in train and test"),
        ({"image_id": "a-2", "split": "dev"}, r"(?s)unknown split.*dev"),
        ({"image_id": "a-2", "split": None}, "unknown split"),
        ({"image_id": "a-2", "view": "side"}, r"(?s)unknown view.*side"),
        ({"image_id": "a.2"}, r"(?s)no WebDataset key.*a\.2"),
        ({"image_id": ""}, "no WebDataset key"),
    ],
)
def test_check_manifest(second: dict[str, object], message: str) -> None:
    table = table_from_rows([manifest_row(), manifest_row(**second)], MANIFEST)
    with pytest.raises(DataError, match=message):
        check_manifest(packed_table(table))
    check_manifest(packed_table(table.slice(0, 1)))
    check_manifest(packed_table(table.slice(0, 0)))
