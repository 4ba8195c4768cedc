"""Claims F1 to F3 and the figures of fusions, on made runs with known answers; how sharp a picture is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from made_ranked import say_entry, write_over
from made_run import FAIR, GOOD, write_run

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.claims import evidence as evidence_module
from pipeline_lib.delivery.claims import fusion
from pipeline_lib.delivery.claims.claim import Claim, as_record
from pipeline_lib.delivery.claims.evidence import Evidence, read_evidence
from pipeline_lib.delivery.claims.fusion_figures import fusion_figures
from pipeline_lib.delivery.claims.sharpness import laplacian_variance
from pipeline_lib.delivery.claims.words import as_text
from pipeline_lib.matching.scores.shared.table import read_scores, score_columns, score_table, write_scores
from pipeline_lib.schemas.pairs import PAIRS

FUSIONS: dict[str, dict[str, Any]] = {
    "local": {"parts": "local"},
    "global": {"parts": "global"},
    "both": {},
    "vib3": {"beta": 1e-3},
    "vib2": {"beta": 1e-2},
}
QUALITY = {"cosine:x": 0.2, "cosine:y": 0.25, "cosine:local": FAIR, "cosine:global": 0.25, "cosine:both": GOOD}


def sharpness(image_ids: Sequence[str]) -> np.ndarray:
    """Of a person's four photographs the last is the sharpest."""
    return np.array([float(image_id.rpartition("_")[2]) for image_id in image_ids])


@pytest.fixture(autouse=True)
def _sharpness(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence_module, "read_sharpness", lambda aligned, image_ids: sharpness(image_ids))


def made(data: Path, names: Sequence[str] = tuple(FUSIONS), **changes: dict[str, Any]) -> Evidence:
    """A run with these fusions: vib3 verifies the blurrier half better, vib2 the sharper one."""
    quality = {name: value for name, value in QUALITY.items() if name.partition(":")[2] in (*names, "x", "y")}
    write_run(data, {}, {**quality, **{f"cosine:{name}": GOOD for name in names if "vib" in name}, "sum": 0.28})
    for name in names:
        spec = {"arch": "fusion", "over": ["x", "y"], "parts": "both", "beta": None, "dim": 64}
        write_over(data, name, {**spec, **FUSIONS[name], **changes.get(name, {})})
    say_entry(data, "sum", "embed", "none", "score_sum", networks=["y", "x"])
    path = data / "verify" / "scores.parquet"
    table = read_scores(path)
    a, b = (sharpness(table[side].to_pylist()) for side in ("image_a", "image_b"))
    lower, values = np.minimum(a, b), {name: table[name].to_numpy().copy() for name in score_columns(table)}
    is_sharp = lower > np.median(lower)
    rng = np.random.default_rng(0)
    for name, good in (("cosine:vib3", ~is_sharp), ("cosine:vib2", is_sharp)):
        if name in values:
            values[name] += (0.6 * rng.normal(size=len(good)) * ~good).astype(np.float32)
    write_scores(path, score_table(table.select(PAIRS.names), values, score_columns(table)))
    return read_evidence(data, 200, 3)


def verdicts(claims: list[Claim]) -> dict[str, str]:
    return {claim.id: claim.results["made"].verdict for claim in claims}


def test_parts_and_bottlenecks_are_held_against_each_other(tmp_path: Path) -> None:
    found = made(tmp_path)
    [f1], [f2] = fusion.f1(found), fusion.f2(found)
    assert verdicts([f1, f2]) == {"F1-both": "holds", "F2-both": "contradicted"}
    effect = f1.results["made"].effect  # type: ignore[union-attr]
    assert (effect.a.name, effect.b.name, effect.measure) == ("both", "local", "AUC")
    assert "beta 0.001, 0.01." in f2.note


def test_the_best_beta_of_either_half(tmp_path: Path) -> None:
    [claim] = fusion.f3(made(tmp_path))
    result = claim.results["made"]
    assert (claim.id, result.verdict) == ("F3-vib3", "holds")
    effect = result.effect  # type: ignore[union-attr]
    assert (effect.a.figure, effect.b.figure) == (pytest.approx(-2), pytest.approx(-3))
    assert (effect.value, effect.low, effect.high) == (pytest.approx(1), pytest.approx(1), pytest.approx(1))
    text = as_text({claim.id: as_record(claim, "Fusion")})
    assert "10 times the best beta (95 %: 10 to 10)" in text
    assert "A sharper half 0.01, B blurrier half 0.001" in text
    [turned] = fusion.f3(made(tmp_path, vib3={"beta": 1e-1}))
    assert (turned.id, turned.results["made"].verdict) == ("F3-vib2", "contradicted")


def test_halves_count_their_own_pairs_alone(tmp_path: Path) -> None:
    """The figure of a half is that of a run that holds no other pairs."""
    found = made(tmp_path)
    table = read_scores(tmp_path / "verify" / "scores.parquet")
    a, b = (sharpness(table[side].to_pylist()) for side in ("image_a", "image_b"))
    is_sharp = np.minimum(a, b) > np.median(np.minimum(a, b))
    assert found.sharper("made").tolist() == is_sharp.tolist()
    values, genuine = table["cosine:vib3"].to_numpy(), table["genuine"].to_numpy()
    for half, rows in (("sharper", is_sharp), ("blurrier", ~is_sharp), ("all", np.ones(len(values), bool))):
        of_genuine, of_impostor = values[rows & genuine], values[rows & ~genuine]
        wanted = np.mean(of_genuine[:, None] > of_impostor)
        assert found.figures("made", "cosine:vib3", "AUC", half)[0] == pytest.approx(wanted, abs=1e-9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "changes", "missing"),
    [
        (("both", "local"), {}, {"F1", "F2", "F3"}),
        (("both", "local", "global", "vib3"), {}, {"F3"}),
        (tuple(FUSIONS), {"both": {"dim": 32}}, {"F1", "F2"}),
        (tuple(FUSIONS), {"vib3": {"beta": 0.0}}, {"F3"}),
        ((), {}, {"F1", "F2", "F3"}),
    ],
)
def test_what_is_missing_is_said(
    names: tuple[str, ...], changes: dict[str, dict[str, Any]], missing: set[str], tmp_path: Path
) -> None:
    found = made(tmp_path, names, **changes)
    claims = [claim for judge in fusion.CLAIMS for claim in judge(found)]
    assert {claim.id for claim in claims if claim.results["made"].verdict == "not measured"} == missing


def test_figures_of_table_1_and_fig_3(tmp_path: Path) -> None:
    found = fusion_figures(made(tmp_path))
    assert list(found) == ["x + y"]
    words = ["x alone", "y alone", "sum of standardised cosines", "fusion, global", "fusion, local", "fusion, both"]
    rows = found["x + y"]["table"]
    assert [row["what"] for row in rows] == [*words, "fusion, both, beta 0.001", "fusion, both, beta 0.01"]
    assert rows[2]["score"] == "sum"
    for row in rows:
        for value, low, high in row["figures"]["made"].values():
            assert low <= value <= high
    [curves] = found["x + y"]["curves"].values()
    assert set(curves["made"]) == {"all", "sharper", "blurrier"}
    assert [point[0] for point in curves["made"]["sharper"]["AUC"]] == [1e-3, 1e-2]
    assert fusion_figures(made(tmp_path / "none", ())) == {}


def test_the_laplacian_s_variance_is_opencv_s_and_falls_with_blur() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 20, 24, 3), dtype=np.uint8)
    found = laplacian_variance(images)
    for image, value in zip(images, found, strict=True):
        luma = image.astype(np.float64) @ (0.299, 0.587, 0.114)
        assert value == pytest.approx(cv2.Laplacian(luma, cv2.CV_64F)[1:-1, 1:-1].var(), rel=1e-9)
    blurred = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image in images])
    assert (laplacian_variance(blurred) < 0.1 * found).all()
    one = np.zeros((1, 5, 5, 3), np.uint8)
    one[0, 2, 2] = (
        10  # L = -40 in the middle of nine, 10 at its four neighbours: mean 0, mean square (1600 + 4 * 100) / 9
    )
    assert laplacian_variance(one).item() == pytest.approx(2000 / 9)
    assert laplacian_variance(np.full((1, 4, 4, 3), 9, np.uint8)).item() == pytest.approx(0, abs=1e-20)


def test_sharpness_that_nobody_gave_is_asked_for(tmp_path: Path) -> None:
    found = made(tmp_path)
    found._sharpness = None
    with pytest.raises(DataError, match="how sharp"):
        fusion.f3(found)
