"""From pixels to what every network sees."""

from typing import Any, TypeVar

A = TypeVar("A", bound=Any)


def network_scale(rgb: A) -> A:
    """rgb / 127.5 - 1 = (rgb/255 - 0.5)/0.5, in place: 0..255 to [-1, 1].

    Args:
        rgb: a float32 NumPy array or tensor of any shape, which is changed.

    Returns:
        The same array.
    """
    rgb /= 127.5
    rgb -= 1.0
    return rgb
