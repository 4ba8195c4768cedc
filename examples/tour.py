"""A tour in Python: compare photographs, ask why, take the vectors, and, where a rebuild lies in data/, its scores.

python examples/rendered_people.py && python examples/tour.py [a.jpg b.jpg c.jpg]
"""

import sys
from pathlib import Path

import numpy as np
from numpy.linalg import norm

from pipeline_lib.core.geometry import FACE_PX
from pipeline_lib.core.roc import area_under, roc_curve
from pipeline_lib.delivery.verifier.shipped import load_shipped
from pipeline_lib.delivery.verifier.verifier import Verifier
from pipeline_lib.matching.scores.shared.table import headline, read_scores

DATA = Path("data")


def main(a: Path, b: Path, c: Path) -> None:
    """Say whether A and B, and A and C, show one person, and print what the answers consist of."""
    print("1. Compare. The verifier that the package brings; Verifier.load(folder) takes one that was built.")
    verifier = load_shipped()
    for answer, (first, second) in zip(verifier.compare([(a, b), (a, c)]), [(a, b), (a, c)], strict=True):
        if answer.error is not None:
            print(f"   {first} and {second}: {answer.error}")
        else:
            said = "one person" if answer.match else "two people"
            print(f"   {first} and {second}: {said}, {answer.similarity:.3f} (threshold {answer.threshold:.3f}),")
            print(f"   with probability {answer.probability:.3f} one, if one and two were equally likely before")
    ask_why(verifier, a, b)
    take_vectors(verifier, a, b)
    read_rebuild(DATA)


def ask_why(verifier: Verifier, a: Path, b: Path) -> None:
    """Where the map of A says most."""
    print("2. Ask why.")
    (answer,) = verifier.compare([(a, b)], explain=True)
    print(f"   {answer.explanation}")
    if answer.maps is not None:
        y, x = np.unravel_index(np.abs(answer.maps[0]).argmax(), (FACE_PX, FACE_PX))
        print(f"   In {a} it is strongest {x} px from the left and {y} px from the top of the aligned face.")


def take_vectors(verifier: Verifier, a: Path, b: Path) -> None:
    """The similarity again, by hand: a verifier of your own scorer would begin here."""
    print("3. Take the vectors.")
    vectors = verifier.encoder.encode(np.stack([verifier.aligned(path.read_bytes()) for path in (a, b)])).vectors
    if vectors is not None:
        one, other = vectors
        print(f"   {one.size} numbers a face; their cosine is {one @ other / (norm(one) * norm(other)):.3f}")


def read_rebuild(data: Path) -> None:
    """Any figure of the report can be computed again from the tables of the stages; here the AUC of each score."""
    print("4. Read a rebuild.")
    path = data / "verify" / "scores.parquet"
    if not path.is_file():
        print("   There is none here: `make repro` makes it.")
        return
    table = read_scores(path)
    protocols = table["protocol"].to_numpy(zero_copy_only=False)
    for protocol in sorted(set(protocols)):
        pairs = table.filter(protocols == protocol)
        for name in headline(pairs):
            area = area_under(roc_curve(pairs[name].to_numpy(), pairs["genuine"].to_numpy(zero_copy_only=False)))
            print(f"   {protocol}, {name}: AUC {area:.3f}")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4] or ("a.jpg", "b.jpg", "c.jpg")))
