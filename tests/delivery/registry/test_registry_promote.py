"""Promotion rules, on the rule itself and on a real registry."""

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.tables import table_from_rows, write_table
from pipeline_lib.delivery.registry.floor import Lead
from pipeline_lib.delivery.registry.promote import Merit, decide, merit_of, promote, register_version, version_of
from pipeline_lib.matching.scores.shared.pairs import read_pairs
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.shard_index import SHARD_INDEX
from pipeline_lib.schemas.templates import TEMPLATES
from pipeline_lib.tracking.stage_run import stage_run
from pipeline_lib.tracking.store import RegistryError, open_client

NAME = "face-verifier"
SURE, NOT_SURE = Lead(True, "it beats raw pixels"), Lead(False, "it does not surely beat raw pixels")


@pytest.mark.parametrize(
    ("challenger", "champion", "promoted", "words"),
    [
        (Merit(0.91, "p"), Merit(0.90, "p"), True, "better than the champion"),
        (Merit(0.90, "p"), Merit(0.90, "p"), False, "not better"),
        (Merit(0.89, "p"), Merit(0.90, "p"), False, "not better"),
        (Merit(0.99, "q"), Merit(0.90, "p"), False, "not comparable"),
        (Merit(0.99, "q"), None, False, "no validation figure"),
    ],
)
def test_decide(challenger: Merit, champion: Merit | None, promoted: bool, words: str) -> None:
    decision, reason = decide(challenger, champion, 7)
    assert decision is promoted
    assert words in reason
    assert promoted or "face-verifier promote 7" in reason


def add_version(client: Any, folder: Path, auc: float, pairs: str = "p", lead: Lead = SURE, note: str = "") -> Any:
    """A version of a model that is only a file: the rules do not look into it."""
    (folder / "MLmodel").write_text("flavors: {}\n")
    with stage_run("register", {}, {}) as run:
        run.client.log_artifacts(run.run_id, str(folder), "model")
        uri = f"runs:/{run.run_id}/model"
        return register_version(client, NAME, uri, run.run_id, Merit(auc, pairs), lead, {"k": "v"}, note, note)


def test_aliases_in_the_registry(workplace: Path) -> None:
    client = open_client()
    folder = workplace / "model"
    folder.mkdir()
    assert version_of(client, NAME, "champion") is None

    first = add_version(client, folder, 0.9)
    assert (first.version, first.aliases) == (1, ("champion", "challenger"))
    worse = add_version(client, folder, 0.8)
    assert (worse.version, worse.aliases) == (2, ("challenger",))
    assert int(version_of(client, NAME, "champion").version) == 1
    assert int(version_of(client, NAME, "challenger").version) == 2
    other_pairs = add_version(client, folder, 0.99, pairs="q")
    assert other_pairs.aliases == ("challenger",)
    better = add_version(client, folder, 0.95)
    assert better.aliases == ("champion", "challenger")
    champion = version_of(client, NAME, "champion")
    assert int(champion.version) == 4
    assert Merit.from_tags(champion.tags) == Merit(0.95, "p")
    assert champion.tags["k"] == "v"
    assert "better" in client.get_model_version(NAME, "4").tags["decision"]

    assert promote(client, NAME, 2) == 4
    assert int(version_of(client, NAME, "champion").version) == 2
    with pytest.raises(RegistryError, match=r"\[1, 2, 3, 4\]"):
        promote(client, NAME, 9)
    with pytest.raises(RegistryError, match="none is registered"):
        promote(client, "other", 1)


def test_the_package_s_calibration_makes_way_for_one_of_one_s_own(workplace: Path) -> None:
    """Other pairs, as there are more people now: figures that cannot be compared, nor need they be."""
    client = open_client()
    folder = workplace / "model"
    folder.mkdir()
    first = add_version(client, folder, 1.0, note="of the package")
    assert first.aliases == ("champion", "challenger")
    assert client.get_model_version(NAME, "1").description == "of the package"
    assert add_version(client, folder, 0.9, pairs="q", lead=NOT_SURE).aliases == ("challenger",)
    again = add_version(client, folder, 1.0, pairs="r", note="of the package")
    assert again.aliases == ("champion", "challenger")
    own = add_version(client, folder, 0.9, pairs="q")
    assert own.aliases == ("champion", "challenger")
    assert own.reason == f"the champion had the package's calibration, and {SURE.words}"
    assert not client.get_model_version(NAME, "4").description
    assert add_version(client, folder, 1.0, note="of the package").aliases == ("challenger",)


def test_who_does_not_beat_raw_pixels_stays_challenger(workplace: Path) -> None:
    """Also where there is no champion, and where the champion is worse."""
    client = open_client()
    folder = workplace / "model"
    folder.mkdir()
    first = add_version(client, folder, 0.45, lead=NOT_SURE)
    assert first.aliases == ("challenger",)
    assert first.reason == f"{NOT_SURE.words}. To promote it by hand: face-verifier promote 1"
    assert version_of(client, NAME, "champion") is None
    sure = add_version(client, folder, 0.7)
    assert sure.aliases == ("champion", "challenger")
    assert sure.reason == f"there was no champion, and {SURE.words}"
    assert add_version(client, folder, 0.8, lead=NOT_SURE).aliases == ("challenger",)
    assert int(version_of(client, NAME, "champion").version) == 2
    assert promote(client, NAME, 1) == 2


def test_a_store_that_takes_no_changes_is_an_error_of_ours(workplace: Path) -> None:
    client = open_client()
    (workplace / "model").mkdir()
    for auc in (0.9, 0.8):
        add_version(client, workplace / "model", auc)
    with closing(sqlite3.connect("mlflow.db")) as connection:  # a file's mode does not bind root, who may run the tests
        for what in ("INSERT", "UPDATE"):
            refuse = "SELECT RAISE(ABORT, 'attempt to write a readonly database')"
            connection.execute(
                f"CREATE TRIGGER no_{what} BEFORE {what} ON registered_model_aliases BEGIN {refuse}; END"
            )
        connection.commit()
    with pytest.raises(RegistryError, match=r"champion cannot be changed[\s\S]*readonly database[\s\S]*mlflow\.db"):
        promote(client, NAME, 2)


def write_tables(folder: Path, sha_of_b: str = "b" * 64, aligned: tuple[str, ...] = ("a", "b", "c")) -> Path:
    """manifest.parquet, pairs.parquet and index.parquet; returns the manifest."""
    common = {"identity": "x", "split": "val", "media": "m", "uri": "u", "width": 1, "height": 1, "landmarks": None}
    shas = {"a": "a" * 64, "b": sha_of_b, "c": "c" * 64}
    rows = [{"image_id": name, "sha256": sha, **common} for name, sha in shas.items()]
    manifest = folder / "manifest.parquet"
    write_table(manifest, table_from_rows(rows, MANIFEST), MANIFEST)
    chosen = [("val", "a", "b", True), ("val", "a", "c", False), ("test", "b", "a", False)]
    named = [{"protocol": p, "fold": 0, "image_a": a, "image_b": b, "genuine": g} for p, a, b, g in chosen]
    write_table(folder / "pairs.parquet", table_from_rows(named, PAIRS), PAIRS)
    member = {"member": "png", "shard": "s", "offset": 0, "size": 1, "identity": "x", "split": "val", "score": 1.0}
    found = [{"key": name, "image_id": name, "landmarks": [0.0] * 10, **member} for name in aligned]
    write_table(folder / "index.parquet", table_from_rows(found, SHARD_INDEX), SHARD_INDEX)
    return manifest


def merit(folder: Path, manifest: Path) -> Merit:
    return merit_of({"auc": 0.875}, read_pairs(folder / "pairs.parquet", folder), manifest)


def test_merit_of_reads_the_figure_and_digests_the_pairs(tmp_path: Path) -> None:
    manifest = write_tables(tmp_path)
    found = merit(tmp_path, manifest)
    assert found.auc == 0.875
    assert Merit.from_tags(found.tags()) == found
    assert merit(tmp_path, write_tables(tmp_path)) == found
    # As the versions of before carry it: pairs of photographs' digests, sorted
    text = json.dumps([["a" * 64, "b" * 64, True], ["a" * 64, "c" * 64, False]])
    assert found.pairs_sha256 == hashlib.sha256(text.encode()).hexdigest()
    other_photograph = merit(tmp_path, write_tables(tmp_path, sha_of_b="d" * 64))
    other_rejects = merit(tmp_path, write_tables(tmp_path, aligned=("a", "b")))
    assert len({found.pairs_sha256, other_photograph.pairs_sha256, other_rejects.pairs_sha256}) == 3


def test_merit_of_templates_digests_their_photographs(tmp_path: Path) -> None:
    manifest = write_tables(tmp_path)
    named = [("val", "t", "c", True)]
    rows = [{"protocol": p, "fold": 0, "image_a": a, "image_b": b, "genuine": g} for p, a, b, g in named]
    write_table(tmp_path / "pairs.parquet", table_from_rows(rows, PAIRS), PAIRS)
    digests = set()
    for images in (("a", "b"), ("b", "a"), ("a",)):
        media = [{"template": "t", "image_id": image, "media": image, "weight": 1.0} for image in images]
        write_table(tmp_path / "templates.parquet", table_from_rows(media, TEMPLATES), TEMPLATES)
        digests.add(merit(tmp_path, manifest).pairs_sha256)
    assert len(digests) == 2


def test_merit_of_a_photograph_without_a_digest(tmp_path: Path) -> None:
    manifest = write_tables(tmp_path)
    write_table(manifest, table_from_rows([], MANIFEST), MANIFEST)
    with pytest.raises(DataError, match="the manifest lacks"):
        merit(tmp_path, manifest)
