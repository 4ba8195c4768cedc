"""Make a study: its forms, an answer sheet for each, and the key."""

import csv
import hashlib
import logging
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

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
PAIRS_DRAW, PLAN_DRAW, EXPLANATION_DRAW = range(3)  # what a generator is for

Tiles = Sequence[bytes]
Shown = tuple[str, str, str]  # a method, the left face, the right face

logger = logging.getLogger(__name__)


def make_study(data: Path, names: Sequence[str], num_pairs: int, seed: int, asks_confidence: bool, out: Path) -> Key:
    """Write `out`: forms/<form>.html, answers/<form>.csv, key.json.

    A study of M methods (the explanations, and faces alone) has M parts of `num_pairs` pairs. The pairs of a part are the same on
    all M forms; which method shows them differs from form to form by a Latin square. A participant fills one form, so sees each
    pair once and every method; over the forms, each pair is seen by each method. The same data and seed give the same bytes.
    In the place of a pair that a method cannot explain another of its sort is shown; the log names it, the key has the count.

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
    candidates = clean_candidates(data, judges)
    candidates += occluded_candidates(data, judges, OCCLUDED_PER_PAIR * num_pairs * (1 + len(methods)), rng)
    candidates = _shuffled(candidates, rng)
    shown = {
        name: ShownMethod(kind=entry.kind, network=entry.network, threshold=judges[entry.network].threshold)
        for name, entry in entries.items()
    }
    tiles, unexplained = dict[Shown, Tiles](), set[frozenset[str]]()
    while True:
        usable = [candidate for candidate in candidates if candidate.faces not in unexplained]
        key = _planned(usable, shown, num_pairs, seed, asks_confidence, len(unexplained))
        failed = _draw(tiles, data, key, methods)
        if not failed:
            break
        unexplained |= failed
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


def _planned(
    candidates: Sequence[Candidate],
    methods: Mapping[str, ShownMethod],
    num_pairs: int,
    seed: int,
    asks_confidence: bool,
    num_unexplained: int,
) -> Key:
    """Pairs chosen, dealt to the parts and numbered, their sides drawn, the methods put on the forms, and a code of all of it."""
    rng = np.random.default_rng([seed, PLAN_DRAW])
    chosen = choose(candidates, num_pairs * (1 + len(methods)), set())
    taken = set[str]().union(*(pair.photographs for pair in chosen))
    shown_examples = [_shown(pair, rng) for pair in _shuffled(choose(candidates, NUM_EXAMPLES, taken), rng)]
    parts = [_shuffled(part, rng) for part in dealt(chosen, 1 + len(methods))]
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
        num_unexplained=num_unexplained,
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


def _draw(tiles: dict[Shown, Tiles], data: Path, key: Key, methods: Mapping[str, Explainer]) -> set[frozenset[str]]:
    """Add the pictures that `tiles` lacks, of each pair by each method; gives the pairs that some method cannot explain.

    Raises:
        DataError: none can be explained; that of the first.
    """
    sources = [ShardImages(data / "align"), ShardImages(data / "occlude")]
    places = {name: (images, row) for images in sources for row, name in enumerate(images.keys)}
    failures = dict[frozenset[str], DataError]()
    pairs = [*key.examples, *key.questions]
    for pair in track(pairs, "explaining pairs", total=len(pairs)):
        if (NO_EXPLANATION, pair.left, pair.right) in tiles:
            continue
        read = [images.read([row]) for images, row in (places[pair.left], places[pair.right])]
        faces = np.concatenate(read)
        found = {(NO_EXPLANATION, pair.left, pair.right): pair_tiles(faces, None)}
        try:
            for place, (name, method) in enumerate(methods.items()):
                draw = [key.seed, EXPLANATION_DRAW, zlib.crc32(f"{pair.left} {pair.right}".encode()), place]
                found[name, pair.left, pair.right] = pair_tiles(faces, method(faces, np.random.default_rng(draw))[1])
        except DataError as error:
            logger.warning("%s and %s are left out: %s", pair.left, pair.right, error)
            failures[frozenset((pair.left, pair.right))] = error
            continue
        tiles |= found
    if len(failures) == len(pairs):
        raise next(iter(failures.values()))
    return set(failures)


def _parts(key: Key, by_part: Sequence[str], tiles: Mapping[Shown, Tiles]) -> list[Part]:
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
