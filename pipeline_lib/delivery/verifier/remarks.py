"""What a person must know of two photographs before they use a verdict on them."""

from pipeline_lib.delivery.verifier.domain import SHARE
from pipeline_lib.delivery.verifier.photograph import Photograph, Taken

SAME_FILE = "Both are one and the same file: the answer says nothing about two photographs."
SAME_PIXELS = (
    "The two files differ, but show the same picture, pixel by pixel: the answer says nothing about two photographs."
)


def warnings_of(taken: tuple[Taken, Taken], photographs: tuple[Photograph, Photograph]) -> tuple[str, ...]:
    """Whether it is one photograph twice, and which of them is unlike those that the model was calibrated on."""
    found = []
    a, b = taken
    if a is b:
        found.append(SAME_FILE if a.sha256 else SAME_PIXELS)
    elif a.pixels == b.pixels:
        found.append(SAME_PIXELS)
    far = [
        (name, one.distance)
        for name, one in zip("AB", photographs, strict=True)
        if one.distance is not None and one.distance > 1
    ]
    if far:
        names = " and ".join(name for name, _ in far)
        distances = " and ".join(f"{distance:.2f}" for _, distance in far)
        are = "Photographs A and B are" if len(far) == 2 else f"Photograph {names} is"
        found.append(
            f"{are} unlike those that this model was calibrated on ({distances} times as far from them as {SHARE:.0%} of them "
            "are), in colour, light, sharpness, or in what the network makes of them. The threshold, the probability and the "
            "error rates may not hold."
        )
    return tuple(found)
