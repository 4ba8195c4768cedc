"""Who comes first, from which score on it is somebody, and what re-ranking does."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import ot
import pytest
from rendered import Detected, opened, search

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.delivery.identify import search as searching
from pipeline_lib.delivery.identify import words
from pipeline_lib.delivery.identify.answer import Identification
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.identify.search import ALPHA, Found, best_of_each, reranks
from pipeline_lib.delivery.identify.threshold import limit, stranger_share
from pipeline_lib.matching.verification.impostors import Impostors, search_rate
from pipeline_lib.networks.embedding.extract import embed_images


@pytest.mark.parametrize("score", ["cosine:iresnet", "cosine_centred:rrfnet", "dam:r", "regions:56"])
def test_the_similarity_is_what_verify_gives_the_two_photographs(
    score: str, gallery: Path, tmp_path: Path, detected: Detected
) -> None:
    model = opened(tmp_path / "files", score)
    found = search(model, tmp_path / "ann.png", gallery, rerank=False)
    photographs = [tmp_path / "gallery" / one.photograph for one in found.candidates]
    answers = model.verifier.compare([(tmp_path / "ann.png", photograph) for photograph in photographs])
    assert [one.similarity for one in found.candidates] == pytest.approx([a.similarity for a in answers], abs=1e-5)
    assert [one.probability for one in found.candidates] == pytest.approx([a.probability for a in answers], abs=1e-4)
    scores = [one.similarity for one in found.candidates]
    assert scores == sorted(scores, reverse=True)
    assert [one.rank for one in found.candidates] == [1, 2, 3]
    assert all(one.reranked is None for one in found.candidates)


def test_a_person_has_one_place_and_equal_scores_stand_in_the_order_of_their_paths(
    gallery: Path, tmp_path: Path, model: Opened, detected: Detected, pictures: list[list[bytes]]
) -> None:
    for name in ("Zoe/1.png", "Ann/2.png", "Ann/3.png"):
        (gallery / name).parent.mkdir(exist_ok=True)
        (gallery / name).write_bytes(pictures[0][1])
    found = search(model, tmp_path / "ann.png", gallery, top=2)
    assert [(one.name, one.photograph) for one in found.candidates] == [("Ann", "Ann/2.png"), ("Zoe", "Zoe/1.png")]
    assert found.candidates[0].similarity == found.candidates[1].similarity == pytest.approx(1.0, abs=1e-6)
    assert (found.num_people, found.num_photographs) == (4, 6)
    ranked = [Found(2, 0.9, None), Found(0, 0.8, None), Found(1, 0.7, None)]
    assert best_of_each(ranked, ["a", "b", "a"], 5) == [ranked[0], ranked[2]]


def with_impostors(model: Opened, impostors: Impostors | None) -> Opened:
    verifier = object.__new__(type(model.verifier))
    verifier.__dict__.update(vars(model.verifier), impostors=impostors)
    return dataclasses.replace(model, verifier=verifier)


def test_nobody_below_the_threshold_and_somebody_above_it(
    gallery: Path, tmp_path: Path, model: Opened, detected: Detected
) -> None:
    score = search(model, tmp_path / "ann.png", gallery).candidates[0].similarity
    below, above = float(np.nextafter(score, -2)), float(np.nextafter(score, 2))
    for threshold, is_somebody in ((below, True), (score, False), (above, False)):
        impostors = Impostors(10**6, (0, 100, 10**5), (threshold, threshold, -1.0), 1000, 1000)
        found = search(with_impostors(model, impostors), tmp_path / "ann.png", gallery)
        assert (found.name is not None) == found.candidates[0].above == is_somebody
        text = words.as_text(found)
        assert text.startswith("Most like " if is_somebody else "Nobody in the gallery")
        assert json.loads(json.dumps(found.as_json()))["name"] == found.name


def test_a_limit_by_hand_and_where_the_impostors_are_too_few() -> None:
    table = Impostors(1000, (0, 10, 100, 500), (0.9, 0.8, 0.7, 0.5), 50, 50)
    exact = limit(table, 1 - 0.99**7, 7)  # of a pair 1 %
    assert (exact.threshold, exact.fmr, exact.bound) == (0.8, pytest.approx(0.01), None)
    rough = limit(table, 0.01, 100)  # of a pair 0.01 %, and a thousand pairs show 0.3 %
    assert rough.threshold == 0.9
    assert rough.bound == pytest.approx(1 - 0.997**100)
    assert stranger_share(table, 0.75, 100) == pytest.approx(search_rate(0.1, 100))  # at most those above 0.7
    with pytest.raises(DataError, match="does not say how high"):
        limit(None, 0.01, 1)


def test_a_bound_is_told(gallery: Path, tmp_path: Path, model: Opened, detected: Detected) -> None:
    found = search(model, tmp_path / "ann.png", gallery, fpir=1e-4)
    assert found.limit.bound == pytest.approx(1 - 0.997**3)
    assert "too few to tell what happens 0.01 % of the time" in words.rate(found)
    assert "less than 0.9 % come above it" in words.rate(found)
    assert found.as_json()["bound"] == found.limit.bound


def test_a_model_without_impostors_is_refused_before_the_gallery_is_looked_at(
    gallery: Path, tmp_path: Path, model: Opened, detected: Detected
) -> None:
    with pytest.raises(DataError, match="does not say how high"):
        search(with_impostors(model, None), tmp_path / "ann.png", gallery)
    assert detected.num == 0


@pytest.mark.parametrize(("data", "why"), [(b"text", "not an image"), (None, "no such file")])
def test_a_photograph_of_nobody(
    data: bytes | None, why: str, gallery: Path, tmp_path: Path, model: Opened, detected: Detected
) -> None:
    if data is not None:
        (tmp_path / "q.png").write_bytes(data)
    with pytest.raises(DataError, match=f"nobody to look for.\n.*{why}"):
        search(model, tmp_path / "q.png", gallery)
    assert detected.num == 0


def test_stage_two_is_the_blend_of_exact_transport_and_cosine(
    gallery: Path, tmp_path: Path, model: Opened, detected: Detected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "TOP_K", 2)
    plain = search(model, tmp_path / "ann.png", gallery, rerank=False)
    found = search(model, tmp_path / "ann.png", gallery, rerank=True)
    verifier, (network,) = model.verifier, model.verifier.encoder.networks.values()
    query = verifier.aligned((tmp_path / "ann.png").read_bytes())
    assert [one.photograph for one in found.candidates[2:]] == [one.photograph for one in plain.candidates[2:]]
    assert found.candidates[2].reranked is None
    for one in found.candidates[:2]:
        face = verifier.aligned((gallery / one.photograph).read_bytes())
        cells = embed_images(network, np.stack([query, face]), True, 2)[1].astype(np.float64)
        a, b = cells / np.linalg.norm(cells, axis=-1, keepdims=True)
        even = np.full(len(a), 1 / len(a))
        plan = ot.sinkhorn(even, even, 1 - a @ b.T, 0.05, method="sinkhorn_log", numItermax=10_000, stopThr=1e-9)
        emd = float((plan * (a @ b.T)).sum())
        assert one.reranked == pytest.approx(
            ALPHA * emd + (1 - ALPHA) * one.similarity, abs=5e-4
        )  # 2 tolerances, and float32
    assert [one.reranked for one in found.candidates[:2]] == sorted(
        (one.reranked for one in found.candidates[:2]), reverse=True
    )


def test_who_re_ranks(model: Opened, tmp_path: Path) -> None:
    assert (reranks(None, model.verifier), reranks(True, model.verifier), reranks(False, model.verifier)) == (
        False, True, False,
    )  # fmt: skip
    regions = opened(tmp_path, "regions:56")
    assert reranks(None, regions.verifier) is False
    with pytest.raises(ParamsError, match="no map of cells"):
        reranks(True, regions.verifier)


def test_the_default_of_the_package_s_verifier_is_to_re_rank() -> None:
    from pipeline_lib.delivery.identify.model import open_shipped

    shipped = open_shipped()
    assert reranks(None, shipped.verifier)
    assert shipped.verifier.impostors is not None
    line = limit(shipped.verifier.impostors, 0.01, 1000)
    assert line.bound is None
    assert 0.94 < line.threshold < 0.96


def test_json_has_what_the_text_has(gallery: Path, tmp_path: Path, model: Opened, detected: Detected) -> None:
    (gallery / "Bob" / "empty.jpg").touch()
    (gallery / "Bob" / "a.xmp").touch()
    found: Identification = search(model, tmp_path / "ann.png", gallery)
    answer = json.loads(json.dumps(found.as_json()))
    assert answer["unusable"] == [{"key": "Bob/empty.jpg", "reason": "empty", "detail": "the file has no bytes"}]
    assert answer["left_out"] == {".xmp": 1}
    assert {"threshold", "fpir", "fmr", "bound", "model", "score", "num_people", "reranked"} <= answer.keys()
    first = answer["candidates"][0]
    assert first.keys() == {
        "rank", "name", "photograph", "similarity", "above", "probability", "stranger_share", "reranked",
    }  # fmt: skip
    text = words.as_text(found)
    for expected in (first["name"], f"{first['similarity']:.3f}", "Bob/empty.jpg: empty", ".xmp 1", words.CAVEAT):
        assert expected in text
