"""A study made of a small rebuild: what is balanced, what a form shows and what it must not."""

import base64
import csv
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from pipeline_lib.core.errors import DataError, ParamsError
from pipeline_lib.data.shards.images import decode_image
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.why.explanation import random
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.study import candidates
from pipeline_lib.why.study.draw import pair_tiles
from pipeline_lib.why.study.key import Key, read_key
from pipeline_lib.why.study.make import make_study, unbalanced

METHODS, NUM_PAIRS, SEED = ["own", "gradients"], 4, 5
NUM_FORMS = len(METHODS) + 1


@pytest.fixture(autouse=True)
def here(rebuild: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rebuild)


@pytest.fixture(scope="module")
def made(rebuild: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studies") / "study"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(rebuild)
        make_study(Path("data"), METHODS, NUM_PAIRS, SEED, False, out)
    return out


@pytest.fixture(scope="module")
def key(made: Path) -> Key:
    return read_key(made / "key.json")


def page(made: Path, form: str) -> str:
    return (made / "forms" / f"{form}.html").read_text()


def pictures(html: str) -> list[np.ndarray]:
    return [decode_image(base64.b64decode(data)) for data in re.findall(r"data:image/png;base64,([^\"]+)", html)]


def test_files(made: Path, key: Key) -> None:
    found = sorted(str(path.relative_to(made)) for path in made.rglob("*.*"))
    expected = [f"answers/{form}.csv" for form in key.forms] + [f"forms/{form}.html" for form in key.forms]
    assert found == [*expected, "key.json"]
    assert [form.removeprefix(f"{key.study}-") for form in key.forms] == ["1", "2", "3"]


def test_each_pair_is_on_each_form_once_and_over_the_forms_by_each_method(key: Key) -> None:
    assert [question.pair for question in key.questions] == list(range(1, NUM_FORMS * NUM_PAIRS + 1))
    for question in key.questions:
        assert Counter(key.method(form, question) for form in key.forms) == Counter(["none", *METHODS])
    for by_part in key.forms.values():
        assert Counter(by_part) == Counter(["none", *METHODS])


def test_balance(key: Key) -> None:
    sorts = Counter((pair.genuine, pair.occlusion) for pair in key.questions)
    assert set(sorts.values()) == {2}
    assert len(sorts) == 6
    for part in (1, 2, 3):
        of_part = [question.genuine for question in key.questions if question.part == part]
        assert (of_part.count(True), of_part.count(False)) == (2, 2)
    assert [pair.genuine for pair in key.examples].count(True) == 3
    for line in unbalanced(key):
        assert re.fullmatch(r"(genuine|impostor), occlusion \w+, model (right|wrong): \d pairs; balanced, \d", line)


def test_pairs_are_what_the_key_says(key: Key) -> None:
    photographs = Counter[str]()
    for pair in [*key.examples, *key.questions]:
        ids, covers = zip(
            *((name.partition("+")[0], name.partition("+")[2]) for name in (pair.left, pair.right)), strict=True
        )
        photographs.update(ids)
        left, right = (image.partition("-")[0] for image in ids)
        assert (left == right) == pair.genuine
        cover = {"none": "", "mask": "mask_cloth", "sunglasses": "sunglasses"}[pair.occlusion]
        assert sorted(covers) == sorted(["", cover])
        thresholds = {method.network: method.threshold for method in key.methods.values()}
        assert pair.matches == {network: score > thresholds[network] for network, score in pair.scores.items()}
        assert pair.model_right == all(match == pair.genuine for match in pair.matches.values())
    assert set(photographs.values()) == {1}
    assert (
        len({pair.left.count("+") for pair in key.questions if pair.occlusion != "none"}) == 2
    )  # covers on either side


def test_a_form_shows_faces_and_maps_and_tells_nothing(made: Path, key: Key) -> None:
    sources = [ShardImages(Path("data") / name) for name in ("align", "occlude")]
    image_of = {name: images.read([row])[0] for images in sources for row, name in enumerate(images.keys)}
    for form, by_part in key.forms.items():
        html = page(made, form)
        text = re.sub(r"base64,[^\"]+", "", html)
        names = ["smith", "own", "gradients", "additive", "xssab", "iresnet"]
        for word in [*names, "genuine", "impostor", "threshold", "<script", "http"]:
            assert not re.search(rf"(?<![a-z]){word}", text), word
        assert not re.search(r"\.(png|jpg)|0\.\d\d\d", text.partition("</style>")[2])
        shown = pictures(html)
        expected = 0
        for part, method in enumerate(by_part, 1):
            for pair in [*key.examples, *(question for question in key.questions if question.part == part)]:
                tiles = shown[expected : expected + (2 if method == "none" else 4)]
                np.testing.assert_array_equal(tiles[0], image_of[pair.left])
                np.testing.assert_array_equal(tiles[-1], image_of[pair.right])
                expected += len(tiles)
        assert len(shown) == expected
        assert re.findall(r'<span class="number">(\d+)</span>', html) == [str(pair.pair) for pair in key.questions]
        answers = re.findall(r"Answer: <strong>(\w+)</strong>", html)
        assert answers == NUM_FORMS * ["Yes" if pair.genuine else "No" for pair in key.examples]


def test_the_maps_are_the_methods(made: Path, key: Key) -> None:
    """The rows of an additive map are constant over parts of patches; the one beside it is the other face's own."""
    from pipeline_lib.why.study.methods import open_explainer, open_judges, read_methods

    entries = read_methods(["own"])
    explainer = open_explainer(
        Path("data"), "own", entries["own"], open_judges(Path("data"), [entries["own"]])["rrfnet56"]
    )
    form = next(form for form, by_part in key.forms.items() if by_part[0] == "own")
    first = pictures(page(made, form))[:4]
    _, explanation = explainer(np.stack([first[0], first[3]]), np.random.default_rng(0))
    for shown, drawn in zip(first, pair_tiles(np.stack([first[0], first[3]]), explanation), strict=True):
        np.testing.assert_array_equal(shown, decode_image(drawn))


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(made: Path, key: Key, tmp_path: Path) -> None:
    make_study(Path("data"), METHODS, NUM_PAIRS, SEED, False, tmp_path / "again")
    for path in made.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(made)).read_bytes()
    other = make_study(Path("data"), ["floor"], 3, SEED + 1, True, tmp_path / "other")
    assert other.study != key.study
    form = next(iter(other.forms))
    assert "How sure are you?" in page(tmp_path / "other", form)
    with (tmp_path / "other" / "answers" / f"{form}.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["pair"]) for row in rows] == list(range(1, 7))
    assert rows[0] == {"participant": "", "form": form, "pair": "1", "answer": "", "confidence": ""}


def test_a_map_of_zeros_is_the_grey_face(here: None) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3)).astype(np.uint8)
    tiles = pair_tiles(faces, Explanation(np.zeros((2, 112, 112), np.float32), 0.0))
    grey = decode_image(tiles[1])
    assert (np.ptp(grey, axis=2) == 0).all()
    assert len(pair_tiles(faces, None)) == 2


def test_a_pair_that_cannot_be_explained_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = make_study(Path("data"), ["floor"], 3, 0, False, tmp_path / "plain")
    first, last = plain.questions[0], plain.examples[-1]
    bad = {pair.scores["rrfnet56"] for pair in (first, last)}
    kind, within = random.explain, 1e-5

    def explain(network, pair, settings, rng):
        if any(abs(pair.score - score) < within for score in bad):  # stored scores are of other batches
            raise DataError("A map is constant.")
        return kind(network, pair, settings, rng)

    monkeypatch.setattr(random, "explain", explain)
    key = make_study(Path("data"), ["floor"], 3, 0, False, tmp_path / "other")
    assert (plain.num_unexplained, key.num_unexplained) == (0, 2)
    assert len(key.questions) == len(plain.questions)
    shown = {frozenset((pair.left, pair.right)) for pair in [*key.examples, *key.questions]}
    assert not {frozenset((pair.left, pair.right)) for pair in (first, last)} & shown
    within = 2.0  # all
    with pytest.raises(DataError, match="constant"):
        make_study(Path("data"), ["floor"], 3, 0, False, tmp_path / "none")


def test_an_occlusion_that_the_data_lack_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "OCCLUSION_OF", {"mask_cloth": "mask"})
    key = make_study(Path("data"), ["floor"], 6, 0, False, tmp_path / "study")
    sorts = Counter((pair.genuine, pair.occlusion) for pair in key.questions)
    assert sorts == dict.fromkeys([(True, "none"), (True, "mask"), (False, "none"), (False, "mask")], 3)
    said = [line for line in unbalanced(key) if "sunglasses" in line]
    assert said == [
        f"{kind}, occlusion sunglasses, model {right}: 0 pairs; balanced, 1"
        for kind in ("genuine", "impostor")
        for right in ("right", "wrong")
    ]


def test_mistakes_are_named(tmp_path: Path) -> None:
    def make(names: list[str], num_pairs: int = 2, out: str = "out") -> None:
        make_study(Path("data"), names, num_pairs, 0, False, tmp_path / out)

    for names, says in (
        (["own", "own"], "each named once"),
        (["none"], "part of faces alone"),
        (["mine"], "no such entry"),
        (["refused"], "additive network"),
    ):
        with pytest.raises(ParamsError, match=says):
            make(names)
    with pytest.raises(DataError, match=r"(?s)too few pairs.*fewer --pairs"):
        make(["own"], num_pairs=50)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    with pytest.raises(DataError, match="not written over"):
        make(["own"], out="full")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
