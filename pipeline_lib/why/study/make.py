"""Make a study: its forms, an answer sheet for each, and the key."""

import csv
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import atomic_dir, write_json
from pipeline_lib.core.progress import track
from pipeline_lib.networks.embedding.images import ShardImages
from pipeline_lib.why.explanation.shared.explainer import Explainer
from pipeline_lib.why.study.answers import CONFIDENCE, REQUIRED
from pipeline_lib.why.study.candidates import Candidate, clean_candidates, occluded_candidates
from pipeline_lib.why.study.choose import choose
from pipeline_lib.why.study.design import CELLS, Cell, allotment, dealt, latin_square
from pipeline_lib.why.study.draw import pair_tiles
from pipeline_lib.why.study.key import NO_EXPLANATION, Key, Question, ShownMethod, ShownPair
from pipeline_lib.why.study.methods import open_explainer, open_judges, read_methods
from pipeline_lib.why.study.page import Part, Row, as_page

NUM_EXAMPLES = 5  # the thesis's
OCCLUDED_PER_PAIR = (
    5  # occluded images of each kind that are embedded for each pair shown: most photographs then come once
)
PAIRS_DRAW, EXPLANATION_DRAW = range(2)  # what a generator is for

Tiles = Sequence[bytes]


def make_study(data: Path, names: Sequence[str], num_pairs: int, seed: int, asks_confidence: bool, out: Path) -> Key:
    """Write `out`: forms/<form>.html, answers/<form>.csv, key.json.

    A study of M methods (the explanations, and faces alone) has M parts of `num_pairs` pairs. The pairs of a part are the same on
    all M forms; which method shows them differs from form to form by a Latin square. A participant fills one form, so sees each
    pair once and every method; over the forms, each pair is seen by each method. The same data and seed give the same bytes.

    Args:
        data: a rebuild's data folder.
        names: entries of `explanations`.
        num_pairs: of a part, which the thesis has 15 of.
        seed: of all draws.
        asks_confidence: whether forms also ask how sure an answer is, which the thesis does not.
        out: a folder that is not there, or is empty.

    Raises:
        ParamsError, DataError: see read_methods, open_judges, open_explainer, clean_candidates, choose; or `out` holds something.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            "A study is not written over anything.", got=out, allowed="a new or empty folder", where="--out"
        )
    entries = read_methods(names)
    judges = open_judges(data, list(entries.values()))
    methods = {name: open_explainer(data, name, entry, judges[entry.network]) for name, entry in entries.items()}
    rng = np.random.default_rng([seed, PAIRS_DRAW])
    num_parts = 1 + len(methods)
    num_questions = num_parts * num_pairs
    candidates = clean_candidates(data, judges)
    candidates += occluded_candidates(data, judges, OCCLUDED_PER_PAIR * num_questions, rng)
    chosen = choose(candidates, num_questions, set(), rng)
    taken = set[str]().union(*(pair.photographs for pair in chosen))
    examples = _shuffled(choose(candidates, NUM_EXAMPLES, taken, rng), rng)
    parts = [_shuffled(part, rng) for part in dealt(chosen, num_parts)]
    shown = {
        name: ShownMethod(kind=entry.kind, network=entry.network, threshold=judges[entry.network].threshold)
        for name, entry in entries.items()
    }
    key = _key(seed, asks_confidence, shown, examples, parts, rng)
    tiles = _drawn(data, key, methods)
    with atomic_dir(out) as partial:
        for folder in ("forms", "answers"):
            (partial / folder).mkdir()
        for form, by_part in key.forms.items():
            page = as_page(form, _parts(key, by_part, tiles), asks_confidence)
            (partial / "forms" / f"{form}.html").write_text(page, encoding="utf-8")
            _write_sheet(partial / "answers" / f"{form}.csv", form, key)
        write_json(partial / "key.json", key.model_dump())
    return key


def unbalanced(key: Key) -> list[str]:
    """The sorts of pairs that the data had too few of, or that others had to stand in for; one line each."""
    ideal = allotment(len(key.questions), dict.fromkeys(CELLS, len(key.questions)))
    found = Counter(Cell(pair.genuine, pair.occlusion, pair.model_right) for pair in key.questions)
    return [f"{cell}: {found[cell]} pairs; balanced, {ideal[cell]}" for cell in CELLS if found[cell] != ideal[cell]]


def _shuffled(pairs: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    return [pairs[place] for place in rng.permutation(len(pairs))]


def _key(
    seed: int,
    asks_confidence: bool,
    methods: Mapping[str, ShownMethod],
    examples: Sequence[Candidate],
    parts: Sequence[Sequence[Candidate]],
    rng: np.random.Generator,
) -> Key:
    """Each pair's sides drawn, the pairs numbered, the methods put on the forms, and a code of all of it."""
    shown_examples = [_shown(pair, rng) for pair in examples]
    numbered = [(part, pair) for part, pairs in enumerate(parts, 1) for pair in pairs]
    questions = [
        Question(pair=number, part=part, **_shown(pair, rng).model_dump())
        for number, (part, pair) in enumerate(numbered, 1)
    ]
    order = [NO_EXPLANATION, *methods]
    square = [[order[number] for number in row] for row in latin_square(len(order))]
    plain = Key(
        study="",
        seed=seed,
        asks_confidence=asks_confidence,
        methods=dict(methods),
        forms={str(number): row for number, row in enumerate(square, 1)},
        examples=shown_examples,
        questions=questions,
    )
    # With a letter before it, no spreadsheet takes it for a number.
    study = "s" + hashlib.sha256(plain.model_dump_json().encode()).hexdigest()[:6]
    return plain.model_copy(
        update={"study": study, "forms": {f"{study}-{form}": row for form, row in plain.forms.items()}}
    )


def _shown(pair: Candidate, rng: np.random.Generator) -> ShownPair:
    left, right = pair.clean, pair.occluded or pair.other
    if rng.random() < 0.5:  # so that the side of an occluded face says nothing
        left, right = right, left
    scores = {name: round(score, 6) for name, score in pair.scores.items()}
    return ShownPair(
        left=left,
        right=right,
        genuine=pair.genuine,
        occlusion=pair.occlusion,
        model_right=pair.cell.model_right,
        scores=scores,
        matches=dict(pair.matches),
    )


def _drawn(data: Path, key: Key, methods: Mapping[str, Explainer]) -> dict[tuple[str, str, str], Tiles]:
    """The pictures of each pair (left, right) by each method (first), which every one of some form needs."""
    sources = [ShardImages(data / "align"), ShardImages(data / "occlude")]
    places = {name: (images, row) for images in sources for row, name in enumerate(images.keys)}

    def read(name: str) -> npt.NDArray[np.uint8]:
        images, row = places[name]
        return images.read([row])

    tiles = dict[tuple[str, str, str], Tiles]()
    pairs = [*key.examples, *key.questions]
    for number, pair in enumerate(track(pairs, "explaining pairs", total=len(pairs))):
        faces = np.concatenate([read(pair.left), read(pair.right)])
        tiles[NO_EXPLANATION, pair.left, pair.right] = pair_tiles(faces, None)
        for place, (name, method) in enumerate(methods.items()):
            rng = np.random.default_rng([key.seed, EXPLANATION_DRAW, number, place])
            try:
                _, explanation = method(faces, rng)
            except DataError as error:
                got = f"{name}, {pair.left} and {pair.right}: {error}"
                raise DataError(
                    "A pair cannot be explained.", got=got, allowed="another --seed, for other pairs"
                ) from error
            tiles[name, pair.left, pair.right] = pair_tiles(faces, explanation)
    return tiles


def _parts(key: Key, by_part: Sequence[str], tiles: Mapping[tuple[str, str, str], Tiles]) -> list[Part]:
    """A form's parts, from its method in each."""
    return [
        Part(
            explains=method != NO_EXPLANATION,
            examples=[Row(tiles[method, pair.left, pair.right], answer=pair.genuine) for pair in key.examples],
            questions=[
                Row(tiles[method, pair.left, pair.right], pair=pair.pair)
                for pair in key.questions
                if pair.part == number
            ],
        )
        for number, method in enumerate(by_part, 1)
    ]


def _write_sheet(path: Path, form: str, key: Key) -> None:
    """An answer sheet to be filled: one line a pair, participant and answer empty."""
    columns = [*REQUIRED, *([CONFIDENCE] if key.asks_confidence else [])]
    with path.open("w", encoding="utf-8", newline="") as file:
        sheet = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        sheet.writeheader()
        sheet.writerows({"form": form, "pair": question.pair} for question in key.questions)
