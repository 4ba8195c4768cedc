"""What the answers say: accuracy by method, with intervals, and what was accepted and rejected."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.study.answers import Answer
from pipeline_lib.why.study.design import OCCLUSIONS
from pipeline_lib.why.study.intervals import NUM_RESAMPLES, Answered, CrossedBootstrap, newcombe, wilson
from pipeline_lib.why.study.key import NO_EXPLANATION, Key, Question

BOOTSTRAP = f"{NUM_RESAMPLES} resamples of participants and of pairs"
SINGLE = "of a single participant: Wilson's, and Newcombe's of differences"


class Marked(NamedTuple):
    """A line of answers with what the key says of it."""

    answer: Answer
    question: Question
    method: str

    @property
    def is_given(self) -> bool:
        """Whether the participant decided."""
        return self.answer.says_same is not None

    @property
    def is_right(self) -> bool:
        """Whether the decision is true; False where none was given."""
        return self.answer.says_same == self.question.genuine


def score_answers(answers: Sequence[Answer], key: Key) -> dict[str, Any]:
    """The figures of a study, as JSON has them.

    `methods` has of each: `num_answers`, `num_unanswered`, `accuracy` over the given answers and its 95 % `interval`; the mean
    and the (population) standard deviation of the participants' accuracies, as the thesis's Fig. 5.8; of genuine and impostor
    pairs how many were accepted (yes) and rejected; accuracy by occlusion and by whether the model decides rightly; how often a
    participant agrees with the method's own network (null for faces alone); the mean confidence in right and wrong answers
    (null without any). `differences` has the accuracy by `first` less that by `second`, of each two methods; `chance` is the
    accuracy of the one answer that is right more often.

    Args:
        answers: complete, as read_answers gives them.
        key: the study's.

    Raises:
        DataError: under some method no pair was decided.
    """
    question_of = {question.pair: question for question in key.questions}
    marked = [
        Marked(answer, question_of[answer.pair], key.method(answer.form, question_of[answer.pair]))
        for answer in answers
    ]
    order = [NO_EXPLANATION, *key.methods]
    of_method = {name: [line for line in marked if line.method == name] for name in order}
    empty = [name for name, lines in of_method.items() if not any(line.is_given for line in lines)]
    if empty:
        raise DataError(
            "Under a method no pair was decided.", got=", ".join(empty), allowed="at least one answer to each"
        )
    people = sorted({answer.participant for answer in answers})
    tables = {name: _table(lines, people, list(question_of)) for name, lines in of_method.items()}
    accuracy, difference = _intervals(tables, key.seed)
    genuine = Counter(line.question.genuine for line in marked if line.is_given)
    return {
        "study": key.study,
        "num_participants": len(people),
        "intervals": BOOTSTRAP if len(people) > 1 else SINGLE,
        "chance": max(genuine.values()) / genuine.total(),
        "methods": {
            name: {
                "interval": accuracy(name),
                **_figures(lines, tables[name], key.methods[name].network if name in key.methods else None),
            }
            for name, lines in of_method.items()
        },
        "differences": [
            {
                "first": first,
                "second": second,
                "difference": tables[first].accuracy - tables[second].accuracy,
                "interval": difference(first, second),
            }
            for second, first in combinations(order, 2)
        ],
    }


def _table(lines: Iterable[Marked], people: Sequence[str], pairs: Sequence[int]) -> Answered:
    given, right = (np.zeros((len(people), len(pairs)), bool) for _ in range(2))
    row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (people, pairs))
    for line in lines:
        place = row_of[line.answer.participant], column_of[line.answer.pair]
        given[place], right[place] = line.is_given, line.is_right
    return Answered(given, right)


def _intervals(
    tables: dict[str, Answered], seed: int
) -> tuple[Callable[[str], Sequence[float]], Callable[[str, str], Sequence[float]]]:
    """The intervals of a method's accuracy and of the difference of two."""
    if len(next(iter(tables.values())).given) > 1:
        bootstrap = CrossedBootstrap(tables, NUM_RESAMPLES, np.random.default_rng(seed))
        return bootstrap.accuracy, bootstrap.difference
    counts = {name: (int(table.right.sum()), table.num) for name, table in tables.items()}
    return lambda name: wilson(*counts[name]), lambda first, second: newcombe(counts[first], counts[second])


def _figures(lines: Sequence[Marked], table: Answered, network: str | None) -> dict[str, Any]:
    given = [line for line in lines if line.is_given]
    decided = table.given.any(axis=1)
    each = table.right[decided].sum(axis=1) / table.given[decided].sum(axis=1)
    agreed = [line.answer.says_same == line.question.matches[network] for line in given] if network else []
    sure = {right: [line.answer.confidence for line in given if line.is_right == right] for right in (True, False)}
    return {
        "num_answers": len(given),
        "num_unanswered": len(lines) - len(given),
        "accuracy": table.accuracy,
        "participants_mean": float(each.mean()),
        "participants_std": float(each.std()),
        "genuine": _decided(line for line in given if line.question.genuine),
        "impostor": _decided(line for line in given if not line.question.genuine),
        "by_occlusion": {
            name: _share([line.is_right for line in given if line.question.occlusion == name]) for name in OCCLUSIONS
        },
        "by_model": {
            "right": _share([line.is_right for line in given if line.question.model_right]),
            "wrong": _share([line.is_right for line in given if not line.question.model_right]),
        },
        "agrees_with_network": _mean(agreed),
        "confidence_right": _mean([value for value in sure[True] if value is not None]),
        "confidence_wrong": _mean([value for value in sure[False] if value is not None]),
    }


def _decided(lines: Iterable[Marked]) -> dict[str, int]:
    accepted = [line.answer.says_same for line in lines]
    return {"accepted": accepted.count(True), "rejected": accepted.count(False)}


def _share(right: Sequence[bool]) -> dict[str, float | int | None]:
    return {"num": len(right), "accuracy": _mean(right)}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
