"""The patch benchmark as a measure: what is patched with what, rows and figures, and protocols that cannot be judged."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from pipeline_lib.core.cosine import cosine
from pipeline_lib.core.tables import read_table, table_from_rows, write_table
from pipeline_lib.data.patches.squares import draw_squares
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.networks.embeddings.store import EmbeddingSet, write_embeddings
from pipeline_lib.schemas.pairs import PAIRS
from pipeline_lib.schemas.replacement import REPLACEMENT
from pipeline_lib.why.explanation import additive, random
from pipeline_lib.why.explanation.shared.embedder import Embedder
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.explanation.shared.pair_sample import PATCHES, SampledPair
from pipeline_lib.why.explanation.shared.threshold import Point
from pipeline_lib.why.faithfulness.patch_benchmark import Clean, PatchBenchmark, clean_protocols

IDS = ["a0", "a1", "b0", "b1", "c0", "c1"]
PEOPLE = [name[0] for name in IDS]
PAIRED = [("a0", "a1", True), ("b0", "b1", True), ("a0", "b1", False), ("c0", "a1", False)]
SAMPLED = [
    SampledPair("made", a, b, a[0], b[0], genuine, number % 2, True, number in (0, 2), 5)
    for number, (a, b, genuine) in enumerate(PAIRED)
]


@pytest.fixture(scope="module")
def images():
    """Six faces of noise of three people, as ShardImages has them."""
    pixels = np.random.default_rng(4).integers(0, 256, size=(6, 112, 112, 3)).astype(np.uint8)
    return SimpleNamespace(image_ids=IDS, identities=PEOPLE, splits=["test"] * 6, read=lambda rows: pixels[rows])


@pytest.fixture(scope="module")
def explainers(network_named):
    """Two methods on one network."""
    embedder = Embedder(network_named("rrfnet56"), False, images_per_batch=16)
    return {name: Explainer(kind, kind.Settings(), embedder) for name, kind in (("own", additive), ("floor", random))}


@pytest.fixture(scope="module")
def written(images, explainers, tmp_path_factory):
    """method -> its folder and figures; the threshold is the middle of the clean scores, so that some decisions are wrong."""
    pairs = [*SAMPLED, replace(SAMPLED[0], is_measured=False), replace(SAMPLED[0], protocol="other")]
    read = {pair: images.read([IDS.index(pair.image_a), IDS.index(pair.image_b)]) for pair in pairs}
    threshold = float(np.median([explainers["floor"].embedder.pair(read[pair], False).score for pair in SAMPLED]))
    clean = {"made": Clean(Point(0.1, threshold), np.array(IDS, object), np.array(PEOPLE, object))}
    found = {}
    for name, explain in explainers.items():
        measure, out = PatchBenchmark(name, explain, images, clean, seed=1), tmp_path_factory.mktemp(name)
        for pair in pairs:
            measure.add(pair, *explain(read[pair], np.random.default_rng(0)))
        found[name] = out, measure.write(out)
    return found


def rows_of(written, name):
    return read_table(written[name][0] / "replacement.parquet", REPLACEMENT).to_pylist()


def test_rows_begin_at_the_patched_pair_and_end_at_the_clean_one(written, images, explainers):
    rows = rows_of(written, "floor")
    assert [(row["image_a"], row["image_b"], row["genuine"]) for row in rows] == PAIRED
    assert [(row["identity_a"], row["identity_b"]) for row in rows] == [("a", "a"), ("b", "b"), ("a", "b"), ("c", "a")]
    embedder = explainers["floor"].embedder
    for row, pair in zip(rows, SAMPLED, strict=True):
        assert (row["stranger"] is None) == (not row["genuine"])
        if row["genuine"]:
            assert PEOPLE[IDS.index(row["stranger"])] != row["identity_a"]
        a, b, source = images.read(
            [IDS.index(name) for name in (pair.image_a, pair.image_b, row["stranger"] or pair.image_b)]
        )
        patched = np.where(draw_squares(pair.rng(PATCHES))[..., None], source, a)
        clean, led_astray = (cosine(*embedder.pair(np.stack([first, b])).embeddings) for first in (a, patched))
        assert len(row["scores"]) == 21
        assert row["scores"][0] == pytest.approx(float(led_astray), abs=1e-6)  # float32, in another batch
        assert row["scores"][-1] == pytest.approx(float(clean), abs=1e-6)
        assert row["clean_score"] == pytest.approx(float(clean), abs=1e-6)


def test_all_methods_have_the_same_patches(written):
    own, floor = rows_of(written, "own"), rows_of(written, "floor")
    assert [row["stranger"] for row in own] == [row["stranger"] for row in floor]
    for first, second in zip(own, floor, strict=True):
        assert first["scores"][0] == second["scores"][0]
        assert first["scores"][1:-1] != second["scores"][1:-1]
        assert (first["method"], second["method"]) == ("own", "floor")


def test_figures_are_those_of_the_rows(written):
    for name in written:
        rows, figures = rows_of(written, name), written[name][1]
        wrong = {True: [], False: []}
        for row in rows:
            wrong[row["genuine"]].append([(score >= row["threshold"]) != row["genuine"] for score in row["scores"]])
        assert figures["patches/made/eer"] == 0.1
        assert (figures["patches/made/num_genuine"], figures["patches/made/num_impostor"]) == (2, 2)
        for key, genuine in (("fmr", False), ("fnmr", True)):
            rates = np.mean(wrong[genuine], axis=0)
            assert figures[f"patches/made/{key}"] == rates[0]
            expected = sum((rates[s] + rates[s + 1]) / 2 * 5 for s in range(20))
            assert figures[f"patches/made/{key}_auc"] == pytest.approx(expected)
            assert figures[f"patches/made/{key}_auc_low"] <= expected + 1e-9
            assert figures[f"patches/made/{key}_auc_high"] >= expected - 1e-9
        assert set(figures) == {
            f"patches/made/{key}"
            for key in (
                "eer", "num_genuine", "num_impostor", "fmr", "fnmr", "fmr_auc", "fmr_auc_low", "fmr_auc_high", "fnmr_auc",
                "fnmr_auc_low", "fnmr_auc_high",
            )
        }  # fmt: skip


def test_pairs_that_are_shown_become_pictures(written):
    folder = written["own"][0] / "replacement"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"00_{kind}_00_{what}.png" for kind in ("genuine", "impostor") for what in ("patches", "steps")
    ]
    widths = {path.stem: decode_image(path.read_bytes()).shape[1] for path in folder.iterdir()}
    # A genuine pair's picture has the stranger, too.
    assert widths["00_genuine_00_patches"] > widths["00_impostor_00_patches"]


def test_one_person_has_rates_and_no_interval(images, explainers, tmp_path, caplog):
    clean = {"made": Clean(Point(0.1, 0.5), np.array(IDS, object), np.array(PEOPLE, object))}
    measure = PatchBenchmark("floor", explainers["floor"], images, clean, seed=1)
    faces, explanation = explainers["floor"](images.read([0, 1]), np.random.default_rng(0))
    measure.add(SAMPLED[0], faces, explanation)
    figures = measure.write(tmp_path)
    assert {key.removeprefix("patches/made/") for key in figures} == {
        "eer",
        "num_genuine",
        "num_impostor",
        "fnmr",
        "fnmr_auc",
    }
    assert "no interval" in caplog.text


def test_nothing_is_patched_without_a_protocol(images, explainers, tmp_path):
    measure = PatchBenchmark("floor", explainers["floor"], images, {}, seed=1)
    measure.add(SAMPLED[0], *explainers["floor"](images.read([0, 1]), np.random.default_rng(0)))
    assert measure.write(tmp_path) == {}
    assert rows_of({"floor": (tmp_path, {})}, "floor") == []
    assert list((tmp_path / "replacement").iterdir()) == []


def test_a_protocol_without_both_kinds_is_named_and_left_out(images, tmp_path, caplog):
    rows = [("made", *pair) for pair in PAIRED] + [("alone", "a0", "a1", True), ("alone", "b0", "b1", True)]
    keys = ("protocol", "image_a", "image_b", "genuine")
    table = table_from_rows([{**dict(zip(keys, row, strict=True)), "fold": 0} for row in rows], PAIRS)
    write_table(tmp_path / "pairs.parquet", table, PAIRS)
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1], [-1, 0], [-1, 0.1]], np.float32)
    write_embeddings(tmp_path / "embed", EmbeddingSet(IDS, IDS, PEOPLE, ["test"] * 6, [None] * 6, vectors, None, []))
    sampled = [*SAMPLED, replace(SAMPLED[0], protocol="alone")]
    found = clean_protocols(sampled, tmp_path / "embed", tmp_path / "pairs.parquet", images)
    assert list(found) == ["made"]
    assert "alone is left out of the patch benchmark" in caplog.text
    clean = found["made"]
    assert clean.error.rate == 0.0
    assert clean.error.threshold == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)  # the genuine pairs' cosine
    # c1 is in no pair of the protocol, so nobody gets its pixels.
    assert clean.image_ids.tolist() == ["a0", "a1", "b0", "b1", "c0"]
    assert clean.identities.tolist() == ["a", "a", "b", "b", "c"]
