"""Why a pair got its score: a network's own sum over patches, or a map of what its cosine reacts to."""

from dataclasses import replace

import numpy as np

from pipeline_lib.core.errors import DataError
from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.verifier import region_sum
from pipeline_lib.delivery.verifier.answers import Comparison, Contribution
from pipeline_lib.delivery.verifier.encoder import BATCH_SIZE, Encoder
from pipeline_lib.delivery.verifier.methods import explained, reliability
from pipeline_lib.matching.scores.shared.faces import Faces, given
from pipeline_lib.matching.scores.shared.scorer import Scorer
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import patch_contributions
from pipeline_lib.why.explanation.shared.pictures import Decision, Image, pair_picture

NO_MAP = "There is no map for this model: its score is neither of the embeddings of one network nor a sum over regions."
GRADIENTS = (
    "The map shows which pixels the similarity reacts to (xSSAB): orange where they move more what speaks for a match, purple "
    "where they move more what speaks against it. It shows where the network looked; its values do not add up to the similarity."
)
HIDDEN = (
    "The map shows what the similarity loses when a part of one face is hidden: orange where it falls, purple where it rises. "
    "Its values do not add up to the similarity."
)
WHOLE = (
    "Every patch of one face is compared with every patch of the other; the products add up to the similarity exactly, "
    "so nothing is left out."
)
# Of the float32 sums behind a cosine; a score that is another function of the embeddings is further away.
ROUNDING = 1e-5
# Of arguments of a cosine that nobody has a threshold for: what is positive speaks for a match.
NO_THRESHOLD = 0.0


def with_reasons(
    answer: Comparison,
    score: str,
    scorer: Scorer,
    encoder: Encoder,
    a: Faces,
    b: Faces,
    method: str,
    check: bool,
    draw: bool,
) -> Comparison:
    """The answer with explanation, method, contributions and pictures.

    What is explained is the cosine of the network's embeddings, less their mean where the score takes one off. Where the score
    is another function of the embeddings (DAM), the words say which number is explained, and xSSAB splits at 0, for the
    score's threshold is none of the cosine's. A weighted sum of regions is its own explanation. A pair that the method cannot
    explain is answered without a map, with the reason.

    Args:
        answer: with its figures.
        score: the column's name.
        scorer: of the column.
        encoder: that made the faces.
        a, b: one face each.
        method: from methods.chosen_method.
        check: whether to add `reliability`; a sum of regions has none.
        draw: whether to add `png`, which matplotlib draws.
    """
    assert answer.similarity is not None
    assert answer.match is not None
    images = np.concatenate([given(a.pixels), given(b.pixels)])
    decision = Decision(answer.threshold, answer.match)
    network = encoder.whole_face
    if network is None:
        parts = scorer.parts(a, b)
        if parts is None:
            return replace(answer, explanation=NO_MAP)
        found = region_sum.region_sum(scorer.needs.positions, parts[0])
        told = replace(answer, explanation=region_sum.WORDS, method=method)
        return _with_pictures(told, images, found, decision, draw, score_name="weighted sum")
    vectors, mean = np.concatenate([given(a.vectors), given(b.vectors)]), scorer.mean
    patches = None if a.patches is None else np.concatenate([a.patches, given(b.patches)])
    pair = EmbeddedPair(images, vectors if mean is None else vectors - mean, patches)
    is_whole = abs(pair.score - answer.similarity) <= ROUNDING
    threshold = answer.threshold if is_whole else NO_THRESHOLD
    embedder = Embedder(network, encoder.mirror, BATCH_SIZE, threshold, mean=mean)
    try:
        found = explained(method, embedder, pair)
        checked = reliability(method, found, embedder, pair) if check else None
    except DataError as error:
        return replace(answer, explanation=f"There is no map for this pair: {error}")
    words = _in_words(method, found, None if is_whole else score) + _of_a_student(network.taught_by, found)
    told = replace(answer, explanation=words, method=method, reliability=checked)
    if is_whole:
        return _with_pictures(told, images, found, decision, draw)
    caption = f"{score} {answer.similarity:.3f}: {'match' if answer.match else 'no match'}"
    return _with_pictures(told, images, found, None, draw, caption)


def _with_pictures(
    answer: Comparison,
    images: Image,
    found: Explanation,
    decision: Decision | None,
    draw: bool,
    caption: str = "",
    score_name: str = "cosine similarity",
) -> Comparison:
    if draw:
        answer = replace(
            answer, png=pair_picture(images, found, decision=decision, caption=caption, score_name=score_name)
        )
    return replace(
        answer,
        contributions=_contributions(found),
        terms=() if found.terms is None else tuple(map(tuple, found.terms.tolist())),
        maps=found.maps,
        faces=(encode_png(images[0]), encode_png(images[1])),
    )


def _in_words(method: str, found: Explanation, other_score: str | None) -> str:
    """What the map shows; `other_score` is what the similarity is, where it is not the explained cosine itself."""
    if found.terms is not None:
        return WHOLE if other_score is None else _of_the_cosine(found.score, other_score)
    shown = GRADIENTS if method == "xssab" else HIDDEN
    if other_score is None:
        return shown
    return (
        f"{shown.replace('the similarity', 'the cosine of the embeddings')} That cosine is {found.score:.3f}; the similarity, "
        f"{other_score}, is computed from these embeddings and from what other faces are like."
    )


def _of_a_student(teacher: str | None, found: Explanation) -> str:
    """An exact sum is exact for the network it is of."""
    if teacher is None or found.terms is None:
        return ""
    return (
        f" This network was taught to answer as {teacher} does; the parts are its own reasons, not those of {teacher}."
    )


def _of_the_cosine(explained: float, score: str) -> str:
    return (
        f"The parts add up to {explained:.3f}, the cosine of the network's embeddings; the similarity, {score}, is computed "
        "from these embeddings and from what other faces are like."
    )


def _contributions(explanation: Explanation) -> tuple[Contribution, ...]:
    if explanation.terms is None:
        return ()
    assert explanation.boxes is not None
    in_a, in_b = patch_contributions(explanation.terms)
    rows = zip(explanation.boxes.tolist(), in_a.tolist(), in_b.tolist(), strict=True)
    return tuple(Contribution(x, y, w, h, part_a, part_b) for (x, y, w, h), part_a, part_b in rows)
