"""How faces found are held against true ones."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detector_recall import TABLES, Truth, judge, landmark_error, read_truth
from pipeline_lib.core.geometry import TEMPLATE
from pipeline_lib.data.faces.detection.face import Face


def face(*box: float, moved_px: float = 0.0) -> Face:
    return Face(np.array(box, np.float32), 1.0, TEMPLATE + np.float32(moved_px))


def truth(*boxes: list[float], ignored: list[list[float]] | None = None) -> Truth:
    points = np.array([TEMPLATE] * len(boxes), np.float64).reshape(-1, 5, 2)
    return Truth(np.array(boxes).reshape(-1, 4), points, np.array(ignored or []).reshape(-1, 4))


def test_each_box_counts_for_one_face_the_nearest():
    """Two true faces side by side; of three boxes two lie on the first, none on the second."""
    true = truth([0.0, 0, 40, 40], [30.0, 0, 100, 70])
    found = judge(true, [face(2, 0, 42, 40), face(0, 0, 40, 40), face(200, 0, 240, 40)])
    assert (found.found_px, found.missed_px, found.num_false) == ([40.0], [70.0], 2)
    assert found.errors == [0.0]


def test_what_the_table_ignores_is_neither_missed_nor_false():
    true = truth([0.0, 0, 40, 40], ignored=[[100.0, 100, 140, 140]])
    assert judge(true, [face(0, 0, 40, 40), face(101, 100, 141, 140)]).num_false == 0
    assert judge(true, [face(0, 0, 40, 40), face(300, 100, 340, 140)]).num_false == 1


def test_nothing_found_and_nothing_there():
    assert judge(truth([0.0, 0, 40, 40]), []).missed_px == [40.0]
    assert judge(truth(), [face(0, 0, 40, 40)]).num_false == 1


def test_an_error_is_a_share_of_the_distance_between_the_eyes():
    eyes = float(np.hypot(*(TEMPLATE[1] - TEMPLATE[0])))
    assert landmark_error(TEMPLATE + np.float32(3.0), TEMPLATE.astype(np.float64)) == pytest.approx(3 * 2**0.5 / eyes)


def test_tables_are_read(tmp_path: Path):
    parts = "".join(f"<part name='{i:02}' x='{i}' y='{100 + i}'/>" for i in range(68))
    text = f"<dataset><images><image file='a.jpg'><box left='1' top='2' width='10' height='20'>{parts}</box>"
    text += "<box left='5' top='5' width='9' height='9' ignore='1'/></image></images></dataset>"
    (tmp_path / TABLES[0]).write_text(text)
    (tmp_path / TABLES[1]).write_text("<dataset/>")
    (true,) = read_truth(tmp_path).values()
    assert true.boxes.tolist() == [[1, 2, 11, 22]]
    assert true.ignored.tolist() == [[5, 5, 14, 14]]
    assert true.points[0].tolist() == [[38.5, 138.5], [44.5, 144.5], [30, 130], [48, 148], [54, 154]]
