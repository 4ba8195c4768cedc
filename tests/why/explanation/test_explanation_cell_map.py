"""Values of cells on pixels."""

import numpy as np

from pipeline_lib.why.explanation.shared.cell_map import cell_map


def test_a_cell_s_value_is_on_its_pixels_and_overlaps_have_the_mean():
    boxes = np.array([[0, 0, 3, 2], [2, 1, 2, 2], [110, 100, 2, 12]])
    found = cell_map(np.array([2.0, -1.0, 0.25]), boxes)
    wanted = np.zeros((112, 112), np.float32)
    wanted[0:2, 0:3], wanted[1:3, 2:4], wanted[1, 2], wanted[100:, 110:] = 2, -1, 0.5, 0.25
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == np.float32
