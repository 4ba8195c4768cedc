"""A key of two methods and four pairs, for tests of answers and scores."""

from pipeline_lib.why.study.key import Key, Question, ShownMethod

# pair, part, genuine, occlusion, whether the network takes it for one person
PAIRS = [
    (1, 1, True, "none", True),
    (2, 1, False, "mask", True),
    (3, 2, True, "mask", True),
    (4, 2, False, "none", False),
]
KEY = Key(
    study="sabc",
    seed=3,
    asks_confidence=False,
    num_unexplained=0,
    methods={"own": ShownMethod(kind="additive", network="n", threshold=0.3)},
    forms={"sabc-1": ["none", "own"], "sabc-2": ["own", "none"]},
    examples=[],
    questions=[
        Question(
            pair=pair, part=part, left=f"left{pair}", right=f"right{pair}", genuine=genuine, occlusion=occlusion,
            model_right=match == genuine, scores={"n": 0.5}, matches={"n": match},
        )
        for pair, part, genuine, occlusion, match in PAIRS
    ],
)  # fmt: skip


def sheet(participant: str, form: str, answers: str, head: str = "participant,form,pair,answer") -> str:
    """A filled sheet; `answers` is a letter a pair: y, n, or - for none."""
    says = {"y": "yes", "n": "no", "-": ""}
    lines = [f"{participant},{form},{pair},{says[letter]}" for pair, letter in enumerate(answers, 1)]
    return "\n".join([head, *lines]) + "\n"
