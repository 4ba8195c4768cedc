"""A synthetic person: a vector of face parameters, and what each of its entries means.

Lengths are in head units: one unit is about half the height of the head, the eyes stand about 0.64 apart. `s` is the length along
the cheek from the middle of the face (see synthetic_geometry), `y` the height, downward, zero at the eyes.
"""

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]


def _between(low: float, high: float) -> Any:
    """A field whose vector entry in [0, 1] is stretched to [low, high]."""
    return field(metadata={"range": (low, high)})


@dataclass(frozen=True)
class Person:
    """What a person looks like in every photograph; one field an entry of the vector."""

    # Head
    head_width: float = _between(0.69, 0.79)
    head_depth: float = _between(0.76, 0.86)
    crown: float = _between(0.98, 1.12)  # height of the skull above the eyes
    chin: float = _between(0.98, 1.14)  # y of the chin
    jaw_square: float = _between(2.2, 4.6)  # exponent of the jaw line: low pointed, high square
    jaw_taper: float = _between(0.0, 0.2)
    jaw_forward: float = _between(-0.04, 0.06)
    cheek_fullness: float = _between(-0.035, 0.045)
    cheekbone: float = _between(0.0, 0.055)
    chin_knob: float = _between(0.01, 0.07)
    chin_cleft: float = _between(-0.03, 0.025)  # below zero: none
    brow_ridge: float = _between(0.0, 0.05)
    ear_size: float = _between(0.17, 0.25)
    ear_stand: float = _between(0.05, 0.13)
    # Eyes
    eye_spacing: float = _between(0.275, 0.335)  # s of an eye's middle
    eye_height: float = _between(-0.045, 0.045)
    eye_width: float = _between(0.135, 0.175)  # half of the opening
    eye_open: float = _between(0.050, 0.088)
    eye_tilt: float = _between(-0.10, 0.22)
    eye_depth: float = _between(0.02, 0.075)  # how deep the socket lies
    lid_fold: float = _between(0.0, 1.0)
    lash: float = _between(0.45, 1.0)
    iris_radius: float = _between(0.060, 0.074)
    iris_hue: float = _between(0.0, 1.0)  # dark brown, brown, hazel, green, grey, blue
    eye_bag: float = _between(0.0, 1.0)
    # Brows
    brow_gap: float = _between(0.15, 0.235)  # above the eye
    brow_thickness: float = _between(0.022, 0.056)
    brow_arch: float = _between(-0.01, 0.075)
    brow_tilt: float = _between(-0.12, 0.16)
    brow_inner: float = _between(0.09, 0.17)  # s where it begins
    brow_length: float = _between(0.33, 0.45)
    brow_density: float = _between(0.45, 1.0)
    # Nose
    nose_length: float = _between(0.33, 0.45)  # y of the tip
    nose_width: float = _between(0.105, 0.175)  # s of a wing
    nose_height: float = _between(0.13, 0.23)
    nose_bridge: float = _between(0.045, 0.085)
    nose_hump: float = _between(-0.025, 0.035)
    nose_tip: float = _between(0.055, 0.09)
    # Mouth
    mouth_drop: float = _between(0.235, 0.32)  # below the nose's tip
    mouth_width: float = _between(0.20, 0.285)
    upper_lip: float = _between(0.036, 0.085)
    lower_lip: float = _between(0.055, 0.105)
    cupid: float = _between(0.0, 1.0)
    lip_colour: float = _between(0.15, 1.0)
    fold: float = _between(0.0, 1.0)  # between nose and mouth corner
    # Skin
    melanin: float = _between(0.0, 1.0)
    redness: float = _between(0.0, 1.0)
    unevenness: float = _between(0.3, 1.0)
    freckles: float = _between(-1.2, 1.0)  # below zero: none
    moles: float = _between(0.0, 4.99)
    shine: float = _between(0.3, 1.0)
    age: float = _between(0.0, 1.0)
    # Hair and beard
    masculine: float = _between(0.0, 1.0)
    hair_length: float = _between(0.0, 1.0)
    hairline: float = _between(-0.74, -0.50)
    hairline_shape: float = _between(-1.0, 1.0)  # below zero a widow's peak, above zero receding temples
    fringe: float = _between(-1.0, 1.0)  # above 0.35: hair on the forehead
    parting: float = _between(-1.0, 1.0)  # side and strength
    hair_volume: float = _between(0.04, 0.17)
    hair_wave: float = _between(0.0, 1.0)
    hair_melanin: float = _between(0.0, 1.0)
    hair_red: float = _between(0.0, 1.0)
    hair_grey: float = _between(-2.0, 1.0)  # below zero: none
    beard: float = _between(-1.0, 1.0)  # below zero: none
    moustache: float = _between(-1.0, 1.0)


NUM_PARAMETERS = len(fields(Person))


def sample_identity(rng: np.random.Generator) -> Vector:
    """Draw a person: float32 (NUM_PARAMETERS,), every entry uniform in [0, 1], independent of each other."""
    return rng.random(NUM_PARAMETERS, dtype=np.float32)


def make_person(identity: Vector) -> Person:
    """Read a vector's entries.

    Args:
        identity: float32 (NUM_PARAMETERS,), values in [0, 1].

    Raises:
        ValueError: another shape, or a value outside [0, 1].
    """
    if identity.shape != (NUM_PARAMETERS,):
        raise ValueError(f"an identity is a vector of {NUM_PARAMETERS} values, got shape {identity.shape}")
    if not bool(np.all((identity >= 0) & (identity <= 1))):
        raise ValueError("an identity's values lie in [0, 1]")
    ranges = {entry.name: entry.metadata["range"] for entry in fields(Person)}
    values = {
        name: low + float(x) * (high - low) for (name, (low, high)), x in zip(ranges.items(), identity, strict=True)
    }
    # Light hair on dark skin is the exception: the vector's entry fills what the skin leaves.
    values["hair_melanin"] = max(values["hair_melanin"], min(1.0, 1.6 * values["melanin"]))
    values["iris_hue"] *= 1.0 - 0.85 * min(1.0, 1.5 * values["melanin"])
    return Person(**values)


def marks_rng(identity: Vector) -> np.random.Generator:
    """The generator of what belongs to the person and has no parameter of its own: where the moles are, the skin's pattern."""
    digest = hashlib.sha256(np.ascontiguousarray(identity, dtype="<f4").tobytes()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
