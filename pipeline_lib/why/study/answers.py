"""Filled answer sheets, read and held against the key: every line counts, or is named with what is wrong with it."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from pipeline_lib.core.errors import DataError
from pipeline_lib.why.study.key import Key

REQUIRED, CONFIDENCE = ("participant", "form", "pair", "answer"), "confidence"
SAYS = {"yes": True, "no": False, "": None}
SURE = ("1", "2", "3", "4", "5")
MAX_NAMED = 20  # problems in one message


class Answer(NamedTuple):
    """One line: `says_same` is None where the participant left the pair out, `confidence` 1 to 5, or None where not given."""

    participant: str
    form: str
    pair: int
    says_same: bool | None
    confidence: int | None


def read_answers(paths: Sequence[Path], key: Key) -> list[Answer]:
    """The answers of all files.

    Raises:
        DataError: a file is missing, is no CSV of these columns, or has wrong lines, which are named: another study's form, an
            unknown pair or answer, a pair answered twice, a participant of two forms, a pair of which a participant has no line.
    """
    problems, first_seen, found = list[str](), dict[tuple[str, int], str](), list[Answer]()
    form_of = dict[str, tuple[str, str]]()
    for path in paths:
        for line, cells in _lines(path):
            where = f"{path.name}, line {line}"
            answer, wrong = _parsed(cells, key)
            if answer is not None:
                form, where_first = form_of.setdefault(answer.participant, (answer.form, where))
                if form != answer.form:
                    wrong.append(f"participant {answer.participant} fills {answer.form}, but {form} in {where_first}")
                before = first_seen.setdefault((answer.participant, answer.pair), where)
                if before != where:
                    wrong.append(f"participant {answer.participant} has pair {answer.pair} already in {before}")
                found.append(answer)
            problems += [f"{where}: {problem}" for problem in wrong]
    _refuse(problems)
    if not found:
        raise DataError("There are no answers.", got=", ".join(map(str, paths)), allowed="a line a pair")
    _refuse(_missing(found, key))
    return found


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells of each line below the head; an empty line is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            sheet = csv.reader(file)
            head = [name.strip() for name in next(sheet, [])]
            if sorted(head) not in (sorted(REQUIRED), sorted([*REQUIRED, CONFIDENCE])):
                allowed = f"{','.join(REQUIRED)}, and {CONFIDENCE} if it was asked for; separated by commas"
                raise DataError("A file of answers has other columns.", got=",".join(head), allowed=allowed, where=path)
            for cells in sheet:
                if cells:
                    yield sheet.line_num, _named(head, cells)
    except OSError as error:
        raise DataError("A file of answers cannot be read.", got=error.strerror or error, where=path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError("A file of answers is no CSV text in UTF-8.", got=error, where=path) from error


def _named(head: Sequence[str], cells: Sequence[str]) -> dict[str, str]:
    """The cells by column; none at all where they are more or fewer than the columns."""
    if len(cells) != len(head):
        return {}
    return {name: cell.strip() for name, cell in zip(head, cells, strict=True)}


def _parsed(cells: dict[str, str], key: Key) -> tuple[Answer | None, list[str]]:
    """A line's answer, or what is wrong with the line."""
    if not cells:
        return None, [f"it has more or fewer cells than the head; allowed: {','.join(REQUIRED)}"]
    confidence = cells.get(CONFIDENCE, "")
    pairs = {str(question.pair): question.pair for question in key.questions}
    checks = [
        (cells["participant"] != "", "participant is empty; allowed: a number or code"),
        (cells["form"] in key.forms, f"form {cells['form']!r} is none of this key; allowed: {', '.join(key.forms)}"),
        (cells["pair"] in pairs, f"pair {cells['pair']!r} is none of this key; allowed: 1 to {len(pairs)}"),
        (cells["answer"].lower() in SAYS, f"answer is {cells['answer']!r}; allowed: yes, no, empty if not answered"),
        (confidence in ("", *SURE), f"confidence is {confidence!r}; allowed: {', '.join(SURE)}, empty if not given"),
    ]
    wrong = [problem for is_right, problem in checks if not is_right]
    if wrong:
        return None, wrong
    says, sure = SAYS[cells["answer"].lower()], int(confidence) if confidence else None
    return Answer(cells["participant"], cells["form"], pairs[cells["pair"]], says, sure), []


def _missing(answers: Iterable[Answer], key: Key) -> list[str]:
    """The pairs of which a participant has no line."""
    numbers = {question.pair for question in key.questions}
    given = dict[str, set[int]]()
    for answer in answers:
        given.setdefault(answer.participant, set()).add(answer.pair)
    return [
        f"participant {name} has no line for pairs {', '.join(map(str, sorted(numbers - pairs)))}; "
        "allowed: a line each, with an empty answer where none was given"
        for name, pairs in given.items()
        if numbers - pairs
    ]


def _refuse(problems: Sequence[str]) -> None:
    """Raise if there are any."""
    if problems:
        more = [f"... and {len(problems) - MAX_NAMED} more"] if len(problems) > MAX_NAMED else []
        lines = "\n  ".join([*problems[:MAX_NAMED], *more])
        raise DataError(f"Answers are wrong; nothing was scored:\n  {lines}")
