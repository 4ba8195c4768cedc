"""What is the same in every photograph of a person, worked out once."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pipeline_lib.data.synthetic.geometry import Chart, make_chart, skull_radius, still_relief
from pipeline_lib.data.synthetic.hair import Hair, grow_hair, strands
from pipeline_lib.data.synthetic.identity import Person, Vector, make_person, marks_rng
from pipeline_lib.data.synthetic.noise import Field, cell_noise
from pipeline_lib.data.synthetic.texture import Paint, paint_nose, paint_skin, wrinkle_lines

BROW_CELLS = (5, 30)


@dataclass(frozen=True)
class Subject:
    """A person on a chart. Nothing of it may be written to: copy `skin` before painting on it."""

    person: Person
    chart: Chart
    skin: Paint
    relief: Field
    skull: Field
    lines: tuple[Field, Field]
    hair: Hair
    flow: Field  # the run of the hair, noise (H, W)
    grain: Field  # the grain of a beard, noise (H, W)
    brow_hairs: Field  # noise (2, *BROW_CELLS)


def make_subject(identity: Vector, pixels_per_unit: float) -> Subject:
    """The subject of an identity; the last few are remembered, since a person's photographs are rendered in a row.

    Args:
        identity: float32 (NUM_PARAMETERS,), values in [0, 1].
        pixels_per_unit: the chart's resolution. Another resolution is the same person with other pores.
    """
    return _subject(np.ascontiguousarray(identity, dtype=np.float32).tobytes(), pixels_per_unit)


@lru_cache(maxsize=4)
def _subject(identity_bytes: bytes, pixels_per_unit: float) -> Subject:
    identity = np.frombuffer(identity_bytes, dtype=np.float32)
    person, marks, chart = make_person(identity), marks_rng(identity), make_chart(pixels_per_unit)
    skin = paint_skin(chart, person, marks)
    paint_nose(chart, person, skin)
    flow = strands(chart, person, marks)
    return Subject(
        person=person,
        chart=chart,
        skin=skin,
        relief=still_relief(chart, person),
        skull=skull_radius(chart, person, 0.0, side=0.0, top=0.0),
        lines=wrinkle_lines(chart, person, marks),
        hair=grow_hair(chart, person, flow),
        flow=flow,
        grain=cell_noise(marks, chart.shape, (chart.shape[0] * 2 // 3, chart.shape[1] * 2 // 3)),
        brow_hairs=marks.standard_normal((2, *BROW_CELLS), dtype=np.float32),
    )
