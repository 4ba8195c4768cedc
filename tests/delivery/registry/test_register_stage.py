"""The register stage on a rebuild of untrained networks: what wins, what it answers, and what is left where nothing can."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_rebuild
from tiny_rebuild import DATA, PARAMS

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.core.tables import read_table
from pipeline_lib.data.sources.shared.aligned_pairs import VALIDATION
from pipeline_lib.delivery.registry.candidates import network_folders, servable
from pipeline_lib.delivery.registry.impostors import impostors_of
from pipeline_lib.delivery.verifier.files import Settings, write_verifier
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.scores.shared.pairs import PairSet, read_pairs
from pipeline_lib.matching.scores.shared.reads import reads_below
from pipeline_lib.matching.scores.shared.stored import StoredFaces
from pipeline_lib.matching.scores.shared.table import read_entries, read_scores
from pipeline_lib.matching.verification.calibration import read_calibrations
from pipeline_lib.params.align import Align
from pipeline_lib.params.embed import Embed
from pipeline_lib.schemas.manifest import MANIFEST
from pipeline_lib.tracking.store import open_client
from stages import register

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
COLUMNS = [
    *(f"{kind}:{name}" for kind in ("cosine", "cosine_centred") for name in ("bagnet", "iresnet", "rrfnet")),
    "regions:56", "dam:r", "dam:l",
]  # fmt: skip
NUM_PHOTOGRAPHS = 3


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    folder = tmp_path_factory.mktemp("rebuilt")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        shutil.copy(empty_store, folder / "mlflow.db")
        tiny_rebuild.rebuild()
    return folder


@pytest.fixture
def here(rebuilt: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The rebuild as working directory; its params are put back at the end."""
    monkeypatch.chdir(rebuilt)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield rebuilt
    tiny_rebuild.write_params()


def photographs(pairs: PairSet) -> dict[str, Path]:
    """image_id -> file, of the first photographs of the validation pairs."""
    rows = [row for row in pairs.table.to_pylist() if row["protocol"] == "val"]
    wanted = list(dict.fromkeys(row["image_a"] for row in rows))[:NUM_PHOTOGRAPHS]
    manifest = read_table(DATA / "ingest" / "manifest.parquet", MANIFEST).to_pylist()
    return {row["image_id"]: Path(row["uri"]).absolute() for row in manifest if row["image_id"] in wanted}


def test_the_rebuild_has_every_column(here: Path) -> None:
    assert sorted(servable(DATA)) == sorted(COLUMNS)


@pytest.mark.parametrize("column", COLUMNS)
def test_verifier_gives_the_tables_numbers(column: str, here: Path, tmp_path: Path) -> None:
    """From photographs what stored embeddings give, to 1e-5: float32 forward passes in batches of other sizes."""
    entries = read_entries(DATA / "scores")
    scorer = servable(DATA)[column]
    settings = Settings(
        score=column, align=Align(**PARAMS["align"]), embed=Embed(**PARAMS["embed"]), max_pixels=1_000_000
    )
    calibration = read_calibrations(DATA / "verify" / "calibration.json")[column]
    write_verifier(tmp_path / "v", settings, calibration, None, scorer, network_folders(DATA, scorer.needs), None)
    pairs = read_pairs(DATA / "ingest" / "pairs.parquet", DATA / "align")
    files = photographs(pairs)
    names = [(a, b) for a in files for b in files if a < b]
    answers = Verifier.load(tmp_path / "v").compare([(files[a], files[b]) for a, b in names])
    reads = reads_below(DATA, entries[column.partition(":")[0]])
    stored = StoredFaces(reads, [scorer.needs])
    a, b = (stored.block(list(side)).faces(scorer.needs) for side in zip(*names, strict=True))
    assert [answer.similarity for answer in answers] == pytest.approx(scorer.score(a, b).tolist(), abs=1e-5)
    assert np.ptp([answer.similarity for answer in answers]) > 1e-4  # else the comparison says nothing


@pytest.mark.parametrize("column", [name for name in COLUMNS if not name.startswith("cosine_centred")])
def test_scorer_is_the_one_that_filled_the_table(column: str, here: Path) -> None:
    """A centred cosine alone differs: in a table each fold takes the others' mean."""
    entries = read_entries(DATA / "scores")
    scorer, table = servable(DATA)[column], read_scores(DATA / "verify" / "scores.parquet")
    reads = reads_below(DATA, entries[column.partition(":")[0]])
    stored = StoredFaces(reads, [scorer.needs])
    a, b = (stored.block(table[side].to_pylist()).faces(scorer.needs) for side in ("image_a", "image_b"))
    np.testing.assert_allclose(table[column].to_numpy(), scorer.score(a, b), atol=1e-6)


@pytest.mark.parametrize("column", ["cosine:iresnet", "dam:r", "regions:56"])
def test_impostors_are_all_pairs_of_two_people_among_the_validation_photographs(column: str, here: Path) -> None:
    found = impostors_of(column, DATA, [VALIDATION])
    pairs = read_pairs(DATA / "ingest" / "pairs.parquet", DATA / "align")
    rows = [row for row in pairs.table.to_pylist() if row["protocol"] == VALIDATION]
    images = sorted({row[side] for row in rows for side in ("image_a", "image_b")})
    owner = dict(zip(images, pairs.owners(images), strict=True))
    names = [(a, b) for a in images for b in images if a < b and owner[a] != owner[b]]
    scorer = servable(DATA)[column]
    stored = StoredFaces(reads_below(DATA, read_entries(DATA / "scores")[column.partition(":")[0]]), [scorer.needs])
    a, b = (stored.block(list(side)).faces(scorer.needs) for side in zip(*names, strict=True))
    scores = np.sort(scorer.score(a, b))[::-1]
    assert found is not None
    assert (found.num_pairs, found.num_photographs, found.num_people) == (
        len(names), len(images), len(set(owner.values())),
    )  # fmt: skip
    assert found.thresholds == pytest.approx(scores[list(found.false_matches)], abs=1e-6)
    fewer = impostors_of(column, DATA, [VALIDATION], max_photographs=len(set(owner.values())))
    assert fewer is not None
    assert fewer.num_photographs == fewer.num_people == found.num_people  # each person's first, before anybody's second
    assert impostors_of(column, DATA, ["none"]) is None
    with pytest.raises(DataError, match="no such score"):
        impostors_of("cosine:none", DATA, [VALIDATION])


def registered(**section: Any) -> dict[str, Any]:
    tiny_rebuild.write_params(register={**PARAMS["register"], **section})
    register.main(data=DATA, out=DATA / "register")
    found: dict[str, Any] = read_json(DATA / "register" / "registered.json")
    return found


def test_best_on_the_validation_pairs_is_registered(here: Path) -> None:
    figures = read_json(DATA / "verify" / "metrics.json")["val"]
    made = registered()
    best = max((name for name in figures if name in COLUMNS), key=lambda name: figures[name]["auc"])
    assert (made["metric"]["score"], made["metric"]["auc"]) == (best, figures[best]["auc"])
    assert ("champion" in made["aliases"]) == ("it beats raw pixels" in made["reason"])
    assert ("champion" in made["aliases"]) == ("To promote it by hand" not in made["reason"])
    folder = DATA / "register" / "model" / "artifacts" / "verifier"
    pair = list(photographs(read_pairs(DATA / "ingest" / "pairs.parquet", DATA / "align")).values())[:2]
    (answer,) = Verifier.load(folder).compare([(pair[0], pair[1])], explain=True)
    assert answer.error is None
    assert Verifier.load(folder).settings.score == best
    assert answer.about is not None
    assert answer.about.name == "face-verifier"
    assert "validation pairs" in answer.about.calibrated_on
    assert answer.rates is not None
    assert answer.rates.num_genuine
    card = (DATA / "register" / "model" / "MODEL_CARD.md").read_text()
    assert open_client().get_model_version("face-verifier", str(made["version"])).description == card
    assert all(f"## {part}" in card for part in ("Use", "Not for", "Limits", "Data", "Threshold", "Licence"))
    assert f"{figures[best]['auc']:.2%}" in card

    named = registered(candidates=["regions:56"])
    assert named["metric"]["score"] == "regions:56"
    assert named["version"] == made["version"] + 1
    assert "champion" in named["aliases"] or "To promote it by hand" in named["reason"]


def test_candidate_that_does_not_exist(here: Path) -> None:
    with pytest.raises(DataError, match=r"allowed: .*cosine:iresnet"):
        registered(candidates=["cosine:nobody"])


@pytest.mark.parametrize("metrics", [{}, {"val": {}}, {"test": {"cosine:iresnet": {"auc": 0.9}}}])
def test_nothing_to_register_is_said_and_no_failure(metrics: dict[str, Any], here: Path, tmp_path: Path) -> None:
    shutil.copytree(DATA, tmp_path / "data")
    (tmp_path / "data" / "verify" / "metrics.json").write_text(json.dumps(metrics))
    register.main(data=tmp_path / "data", out=tmp_path / "out")
    found = read_json(tmp_path / "out" / "registered.json")
    assert (found["version"], found["aliases"], found["metric"]) == (None, [], None)
    assert "nothing to register" in found["reason"]
    assert found["reason"] in (tmp_path / "out" / "model" / "README.md").read_text()
