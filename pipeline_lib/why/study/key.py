"""The answer key of a study, which participants never see: what was shown on which form, and what is true."""

from pathlib import Path

from pydantic import ValidationError

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.files import read_json
from pipeline_lib.params.section import Section
from pipeline_lib.why.study.design import Occlusion

NO_EXPLANATION = "none"  # the method of the part in which faces stand alone


class ShownPair(Section):
    """A pair of faces as a form shows it: keys of data/align or, where occluded, of data/occlude, left face first.

    `scores` and `matches` are each network's cosine and decision; `model_right`: all of them are right.
    """

    left: str
    right: str
    genuine: bool
    occlusion: Occlusion
    model_right: bool
    scores: dict[str, float]
    matches: dict[str, bool]


class Question(ShownPair):
    """A pair to be decided: its number, the same on every form, and its part, from 1."""

    pair: int
    part: int


class ShownMethod(Section):
    """Its kind, its network, and the cosine above which that takes two faces for one person."""

    kind: str
    network: str
    threshold: float


class Key(Section):
    """`study` begins each form's code; `forms`: the method of each part, by that code; `methods`: all but NO_EXPLANATION.

    `num_unexplained` pairs that some method could not explain were drawn, and others shown in their place.
    """

    study: str
    seed: int
    asks_confidence: bool
    num_unexplained: int
    methods: dict[str, ShownMethod]
    forms: dict[str, list[str]]
    examples: list[ShownPair]
    questions: list[Question]

    def method(self, form: str, question: Question) -> str:
        """By which a form explains a pair."""
        return self.forms[form][question.part - 1]


def read_key(path: Path) -> Key:
    """A file that `make` wrote.

    Raises:
        DataError: it is missing, no JSON, or JSON of something else.
    """
    try:
        return Key.model_validate(read_json(path))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()[:5]]
        raise DataError("A file is no answer key of a study.", got="; ".join(wrong), where=path) from None
