"""Why a pair got its score: a network's own sum over patches, or the gradients of its cosine."""

from dataclasses import replace

import numpy as np

from pipeline_lib.core.cosine import cosine
from pipeline_lib.delivery.verifier.answers import Comparison, Contribution
from pipeline_lib.delivery.verifier.encoder import Encoder
from pipeline_lib.matching.scores.shared.faces import Faces, given
from pipeline_lib.why.explanation import xssab
from pipeline_lib.why.explanation.shared.additive_terms import additive_explanation
from pipeline_lib.why.explanation.shared.embedder import EmbeddedPair, Embedder
from pipeline_lib.why.explanation.shared.explanation import Explanation
from pipeline_lib.why.explanation.shared.patch_terms import patch_contributions
from pipeline_lib.why.explanation.shared.pictures import Decision, pair_picture

NO_MAP = "There is no map for this model: its score is not the cosine of one network's embeddings."
GRADIENTS = (
    "The map shows which pixels the similarity reacts to (xSSAB): orange where they move more what speaks for a match, purple "
    "where they move more what speaks against it. It shows where the network looked; its values do not add up to the similarity."
)
WHOLE = (
    "Every patch of one face is compared with every patch of the other; the products add up to the similarity exactly, "
    "so nothing is left out."
)
# Of the float32 sums behind a cosine; a score that is another function of the embeddings is further away.
ROUNDING = 1e-5


def with_reasons(answer: Comparison, score: str, encoder: Encoder, a: Faces, b: Faces) -> Comparison:
    """The answer with explanation, contributions and picture.

    An additive network (RRFNet, BagNet) splits the cosine of its embeddings over patches (RRFNet, eq. 8). Where the score
    is another function of the embeddings, the words say which number is explained. Of any other network the cosine is explained
    by xSSAB, at the price of a forward and two backward passes; another score of it, whose threshold is none of the cosine's, is
    not.

    Args:
        answer: with its figures.
        score: the column's name.
        encoder: that made the faces.
        a, b: one face each.
    """
    network = encoder.whole_face
    if network is None:
        return replace(answer, explanation=NO_MAP)
    assert answer.similarity is not None
    assert answer.match is not None
    explained = float(cosine(given(a.vectors)[0], given(b.vectors)[0]))
    is_whole = abs(explained - answer.similarity) <= ROUNDING
    images = np.concatenate([given(a.pixels), given(b.pixels)])
    decision = Decision(answer.threshold, answer.match) if is_whole else None
    if not network.additive:
        if decision is None:
            return replace(answer, explanation=NO_MAP)
        vectors = np.concatenate([given(a.vectors), given(b.vectors)])
        embedder = Embedder(network, encoder.mirror, len(images), answer.threshold)
        found = xssab.explain(
            embedder, EmbeddedPair(images, vectors, None), xssab.Settings(blur=True), np.random.default_rng(0)
        )
        return replace(answer, explanation=GRADIENTS, png=pair_picture(images, found, decision=decision))
    patches = given(a.patches)[0], given(b.patches)[0]
    explanation = additive_explanation(network, *patches, mirror=encoder.mirror, score=explained)
    caption = "" if is_whole else f"{score} {answer.similarity:.3f}: {'match' if answer.match else 'no match'}"
    return replace(
        answer,
        explanation=(WHOLE if is_whole else _of_the_cosine(explained, score)) + _of_a_student(network.taught_by),
        contributions=_contributions(explanation),
        png=pair_picture(images, explanation, decision=decision, caption=caption),
    )


def _of_a_student(teacher: str | None) -> str:
    """An exact sum is exact for the network it is of."""
    if teacher is None:
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
    assert explanation.terms is not None
    assert explanation.boxes is not None
    in_a, in_b = patch_contributions(explanation.terms)
    rows = zip(explanation.boxes.tolist(), in_a.tolist(), in_b.tolist(), strict=True)
    return tuple(Contribution(x, y, w, h, part_a, part_b) for (x, y, w, h), part_a, part_b in rows)
