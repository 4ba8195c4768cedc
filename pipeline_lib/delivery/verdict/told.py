"""From a model's answer to a verdict."""

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline_lib.delivery.verdict.words import Verdict

PAIRED = {"faces": ("face_a", "face_b"), "shown": ("photo_a", "photo_b")}


def verdict_of(answer: Mapping[str, Any], model: str, name_a: str, name_b: str) -> Verdict:
    """The verdict on one pair.

    Args:
        answer: of a model of this version (verifier.answers.as_row, explained), or of an earlier one, which gave less; without
            an error. Its pictures are bytes, or base64.
        model: the name that was asked for.
        name_a, name_b: the photographs'.
    """
    pairs = {name: tuple(_picture(answer.get(side)) for side in sides) for name, sides in PAIRED.items()}
    maps = answer.get("maps")
    return Verdict(
        name_a=name_a,
        name_b=name_b,
        model=model,
        score=answer["score"],
        is_cosine=answer["is_cosine"],
        similarity=answer["similarity"],
        threshold=answer["threshold"],
        match=answer["match"],
        probability=answer["probability"],
        explanation=answer["explanation"],
        reliability=answer.get("reliability") or "",
        contributions=answer["contributions"] or (),
        terms=answer.get("terms") or (),
        maps=None if maps is None else np.asarray(maps, np.float32),
        png=_picture(answer.get("png")),
        note=answer.get("note", ""),
        prior=answer.get("prior") or 0.5,
        basis=answer.get("basis") or "",
        warnings=answer.get("warnings") or (),
        about=answer.get("about"),
        photographs=answer.get("photographs") or (),
        **{name: None if None in pair else pair for name, pair in pairs.items()},  # type: ignore[arg-type]
    )


def _picture(value: bytes | str | None) -> bytes | None:
    return base64.b64decode(value) if isinstance(value, str) else value
