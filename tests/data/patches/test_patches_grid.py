"""Where patches lie: the paper's tables by hand."""

import numpy as np
import pytest

from pipeline_lib.core.errors import ParamsError
from pipeline_lib.data.patches.grid import LAYOUTS, Region, layout_positions, parse_region, unique_regions
from pipeline_lib.params.load import read_section
from pipeline_lib.params.regions import Regions


@pytest.mark.parametrize(
    ("layout", "positions"),
    [
        ("corners4", [(0, 0), (0, 56), (56, 0), (56, 56)]),
        ("cross4", [(0, 28), (28, 0), (56, 28), (28, 56)]),
        ("corners5", [(0, 0), (0, 56), (56, 0), (56, 56), (28, 28)]),
        ("cross5", [(0, 28), (28, 0), (56, 28), (28, 56), (28, 28)]),
        ("all9", [(0, 0), (28, 0), (56, 0), (0, 28), (28, 28), (56, 28), (0, 56), (28, 56), (56, 56)]),
    ],
)
def test_table_v(layout, positions):
    found = layout_positions(56, layout)
    assert found.dtype == np.int64
    assert found.tolist() == [list(position) for position in positions]


def test_the_33_of_rrfnet_28_touch_no_corner():
    corners = np.zeros((112, 112), bool)
    for rows in (slice(0, 28), slice(84, 112)):
        for columns in (slice(0, 28), slice(84, 112)):
            corners[rows, columns] = True
    everything = [(x, y) for y in range(0, 85, 14) for x in range(0, 85, 14)]
    expected = [[x, y] for x, y in everything if not corners[y : y + 28, x : x + 28].any()]
    assert len(expected) == 33
    assert layout_positions(28, "no_corners33").tolist() == expected
    assert layout_positions(28, "all49").tolist() == [list(position) for position in everything]


@pytest.mark.parametrize("size_px", [28, 56])
def test_every_layout_is_its_own_mirror_image(size_px):
    for layout in LAYOUTS[size_px]:
        found = {tuple(position) for position in layout_positions(size_px, layout).tolist()}
        assert {(112 - size_px - x, y) for x, y in found} == found


@pytest.mark.parametrize(
    ("size_px", "layout"), [(56, "all49"), (28, "cross5"), (28, "all9"), (56, "no"), (112, "all9"), (0, "")]
)
def test_layouts_of_another_size_are_refused(size_px, layout):
    with pytest.raises(ParamsError, match="layout"):
        layout_positions(size_px, layout)


def test_unique_regions_and_their_mirror_images_are_the_whole_grid():
    for size_px, num_unique, num_all, columns in ((28, 28, 49, {0, 14, 28, 42}), (56, 6, 9, {0, 28})):
        regions = unique_regions(size_px)
        assert len(regions) == len(set(regions)) == num_unique
        assert {region.x for region in regions} == columns
        assert len({*regions, *(region.mirror for region in regions)}) == num_all
        middle = [region for region in regions if region.mirror == region]
        assert {2 * region.x + size_px for region in middle} == {112}
    with pytest.raises(ParamsError):
        unique_regions(112)


def test_names_come_back():
    for region in [*unique_regions(28), *unique_regions(56)]:
        assert parse_region(region.name) == region
        assert parse_region(region.mirror.name) == region.mirror
        assert region.mirror.mirror == region
    assert Region(56, 0, 28).name == "p56_x0_y28"
    assert Region(28, 14, 70).mirror == Region(28, 70, 70)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "p56",
        "p56_x0_y",
        "p56_x1_y0",
        "p56_x14_y0",
        "p28_x0_y98",
        "p112_x0_y0",
        "p0_x0_y0",
        "p56_x00_y0",
        "P56_x0_y0",
        "p56_x0_y0 ",
    ],
)
def test_wrong_names_are_refused(name):
    with pytest.raises(ParamsError, match="region's name"):
        parse_region(name)


def test_regions_outside_the_image_are_refused():
    for size_px, x, y in ((56, 57, 0), (56, 0, -1), (113, 0, 0), (0, 0, 0)):
        with pytest.raises(ParamsError, match="leaves the aligned image"):
            Region(size_px, x, y)


def test_the_params_name_the_unique_regions(repository):
    regions = read_section("regions", Regions, repository / "params.yaml")
    unique = {region.name for size_px in (28, 56) for region in unique_regions(size_px)}
    assert regions.positions
    assert set(regions.positions) <= unique
