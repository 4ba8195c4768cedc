"""Patches in words."""

import pytest

from pipeline_lib.data.patches.grid import layout_positions
from pipeline_lib.delivery.report.areas import describe_patch


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ((28, 0, 56, 56), "forehead and both eyes"),
        ((28, 28, 56, 56), "both eyes and nose"),
        ((28, 56, 56, 56), "nose, mouth and chin"),
        ((0, 28, 56, 56), "left eye, nose and left cheek"),
        ((56, 28, 56, 56), "right eye, nose and right cheek"),
        ((28, 42, 28, 28), "left eye"),
        ((42, 84, 28, 28), "mouth and chin"),
        ((0, 42, 28, 28), "left edge of the face"),
        ((52, 0, 4, 4), "forehead"),
    ],
)
def test_patches_in_words(patch: tuple[int, int, int, int], words: str) -> None:
    assert describe_patch(*patch) == words


def test_mirrored_patches_have_mirrored_names() -> None:
    for size, layout in ((56, "all9"), (28, "all49")):
        for x, y in layout_positions(size, layout).tolist():
            words, mirrored = describe_patch(x, y, size, size), describe_patch(112 - size - x, y, size, size)
            swapped = words.replace("left", "\0").replace("right", "left").replace("\0", "right")
            assert sorted(swapped.replace(" and ", ", ").split(", ")) == sorted(
                mirrored.replace(" and ", ", ").split(", ")
            )
