"""The chapter on patched faces: tables by hand, what it shows, and what a folder may lack."""

import json

import pytest
from fake_rebuild import EXPLANATIONS, make_about, write_explanation

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.report.chapters import patch_benchmark
from pipeline_lib.delivery.report.html import render


@pytest.fixture
def data(tmp_path):
    for name in EXPLANATIONS:
        write_explanation(tmp_path / "explain" / name, name)
    return tmp_path


def shown(data, **sections):
    return patch_benchmark.show(patch_benchmark.read(data), make_about(**sections))


def test_rates_and_areas_by_hand(data):
    page = shown(data)
    assert page["rates"].rows == (("rrfnet56", "synthetic", "5.0 %", "100.0 %", "100.0 %", "9 + 9"),)
    ((protocol, _, table),) = page["networks"]["rrfnet56"]["protocols"]
    assert protocol == "synthetic"
    # Wrong at the first 4 steps for 5 of 9 pairs, at the first 5 for the others: 17.5 + 5 · 4/9; the random map 40 later.
    own, floor = table.rows
    assert own[:2] == ("rrfnet56_additive", "additive")
    for column in (2, 4):
        assert own[column].startswith("19.72 (")
        assert floor[column].startswith("59.72 (")
        assert own[column + 1] == "+40.00 (+40.00 to +40.00)"  # every pair alike, so every resample, too
        assert floor[column + 1] == "–"
    assert own[-1] == "18"
    assert table.best == {(0, 2), (0, 4)}


def test_pictures_are_of_a_pair_of_each_kind_and_not_of_the_random_map(data):
    pictures = shown(data)["networks"]["rrfnet56"]["pictures"]
    assert [kind for kind, _, _ in pictures] == ["genuine", "impostor"]
    assert all([name for name, _ in steps] == ["rrfnet56_additive"] for _, _, steps in pictures)
    assert shown(data, num_example_pairs=0)["networks"]["rrfnet56"]["pictures"] == []


def test_the_page_names_what_it_shows_and_nobody(data):
    page = render("chapters/patch_benchmark.html.j2", shown(data))
    for word in ("rrfnet56_additive", "19.72", "stranger", "synthetic", "less than random", "data:image/svg+xml"):
        assert word in page
    assert "script" not in page
    assert "9a" not in page


def test_entries_that_are_not_in_params_or_without_the_benchmark_are_left_out(data):
    write_explanation(data / "explain" / "old", "old")
    (data / "explain" / "older").mkdir()
    assert list(shown(data)["networks"]) == ["rrfnet56"]
    for folder in (data / "explain").iterdir():
        (folder / "replacement.parquet").unlink(missing_ok=True)
    assert patch_benchmark.read(data) is None


def test_without_a_random_map_there_are_areas_alone(data):
    section = {"rrfnet56_additive": {"kind": "additive", "network": "rrfnet56", "with": "none"}}
    ((_, _, table),) = shown(data, explanations=section)["networks"]["rrfnet56"]["protocols"]
    ((name, _, area, difference, *_),) = table.rows
    assert (name, area.partition(" ")[0], difference) == ("rrfnet56_additive", "19.72", "–")


def test_a_missing_folder_of_pictures_is_named(data):
    folder = data / "explain" / "rrfnet56_additive"
    for path in (folder / "replacement").iterdir():
        path.unlink()
    (folder / "replacement").rmdir()
    with pytest.raises(DataError, match="replacement"):
        patch_benchmark.read(data)


def test_a_protocol_without_figures_of_one_kind_shows_a_dash(data):
    for name in EXPLANATIONS:
        path = data / "explain" / name / "metrics.json"
        figures = json.loads(path.read_text())
        del figures["patches/synthetic/fnmr"]
        path.write_text(json.dumps(figures))
    assert shown(data)["rates"].rows[0][4] == "–"
