"""Scores of several networks: by hand, against a loop, in a model's files, and what is refused."""

from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.core.tables import write_table
from pipeline_lib.matching.scores.concatenation import Concatenation
from pipeline_lib.matching.scores.score_sum import ScoreSum
from pipeline_lib.matching.scores.shared.faces import Faces
from pipeline_lib.matching.scores.shared.saved import load_scorer, save_scorer
from pipeline_lib.networks.embeddings.store import read_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from tests.matching.scores.made import ENTRIES, PAIR_ROWS, opened, pair_table, scored, write_data, write_vectors

NETWORKS = ["net", "other"]
KINDS = ("score_sum", "concatenation")


@pytest.fixture(autouse=True)
def _entries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the entries that can be opened while these tests run."""
    for kind in KINDS:
        monkeypatch.setitem(ENTRIES, kind, {"kind": kind, "of": "embed", "with": "none", "networks": NETWORKS})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data")


def test_worked_by_hand() -> None:
    """Cosines 0.6 and 1: (0.6 - 0.1)/0.5 + (1 - 0.4)/0.2 = 4; side by side their mean, 0.8."""
    a, b = (Faces(vectors=np.array([row], np.float32)) for row in ((1, 0, 1, 0), (0.6, 0.8, 1, 0)))
    means, deviations = np.array([0.1, 0.4], np.float32), np.array([0.5, 0.2], np.float32)
    assert ScoreSum(("x", "y"), (2, 2), means, deviations).score(a, b).item() == pytest.approx(4.0, abs=1e-5)
    assert Concatenation(("x", "y")).score(a, b).item() == pytest.approx(0.8, abs=1e-6)


def test_they_are_what_a_loop_over_pairs_and_networks_says(data: Path) -> None:
    vectors = {name: read_embeddings(data / "embed" / name).vectors for name in NETWORKS}
    cosines = {name: [float(cosine(v[a], v[b])) for _, _, a, b in PAIR_ROWS] for name, v in vectors.items()}
    strangers = [row for row, (protocol, _, a, b) in enumerate(PAIR_ROWS) if protocol == "val" and a // 2 != b // 2]
    total = np.zeros(len(PAIR_ROWS))
    for name in NETWORKS:
        own = [cosines[name][row] for row in strangers]
        total += (np.array(cosines[name]) - np.mean(own)) / np.std(own)
    np.testing.assert_allclose(scored(data, "score_sum")["score_sum"], total, rtol=1e-4, atol=1e-4)
    found = scored(data, "concatenation")["concatenation"]
    np.testing.assert_allclose(found, np.mean(list(cosines.values()), axis=0), atol=1e-6)  # by algebra


def test_judged_pairs_have_no_part_in_the_standardisation(data: Path) -> None:
    before = scored(data, "score_sum")["score_sum"]
    kept = [row for row in PAIR_ROWS if row[0] == "val"] + PAIR_ROWS[:1]
    write_table(data / "ingest/pairs.parquet", pair_table(kept), PAIRS)
    np.testing.assert_allclose(scored(data, "score_sum")["score_sum"][-1], before[0], rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_and_a_kept_scorer_agree(kind: str, data: Path, tmp_path: Path) -> None:
    [scorer] = opened(data, kind).values()
    save_scorer(tmp_path / kind, scorer)
    again = load_scorer(tmp_path / kind)
    assert again.needs == scorer.needs
    assert again.needs.side_by_side == ("net", "other")
    rng = np.random.default_rng(0)
    a, b = (Faces(vectors=rng.normal(size=(3, 10)).astype(np.float32)) for _ in range(2))
    np.testing.assert_array_equal(again.score(a, b), scorer.score(a, b))
    np.testing.assert_allclose(scorer.score(a, b), scorer.score(b, a), rtol=1e-6)


def test_what_is_refused(data: Path) -> None:
    with pytest.raises(ParamsError, match="networks"):
        opened(data, "score_sum", networks=["net"])
    with pytest.raises(ParamsError, match="twice"):
        opened(data, "concatenation", networks=["net", "net"])
    with pytest.raises(DataError, match=r"(?s)not embedded.*nobody"):
        opened(data, "score_sum", networks=["net", "nobody"])
    write_vectors(data / "embed" / "other", np.ones((8, 4)))
    with pytest.raises(DataError, match=r"(?s)one cosine.*other"):
        opened(data, "score_sum")
    write_table(data / "ingest/pairs.parquet", pair_table(PAIR_ROWS[:4]), PAIRS)
    with pytest.raises(DataError, match="too few"):
        opened(data, "score_sum")
