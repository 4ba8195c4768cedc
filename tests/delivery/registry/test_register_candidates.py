"""Which column is registered."""

from pathlib import Path
from typing import Any

import pytest
from tiny_verifier import SCORERS

from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.registry.candidates import best_column, network_folders

FIGURES: dict[str, Any] = {
    "raw_pixel": {"auc": 0.99},
    "cosine:iresnet": {"auc": 0.7},
    "cosine:bagnet": {"auc": 0.9},
    "dam:r": {"auc": 0.9},
    "regions:56": {"auc": 0.8},
}


def test_the_best_that_can_be_served_wins_and_the_first_among_equals() -> None:
    assert best_column("auto", FIGURES, SCORERS) == "cosine:bagnet"
    backwards = dict(reversed(FIGURES.items()))
    assert best_column("auto", backwards, SCORERS) == "dam:r"
    assert best_column(["regions:56", "cosine:iresnet"], FIGURES, SCORERS) == "regions:56"


def test_nothing_to_register() -> None:
    assert best_column("auto", {}, {}) is None
    assert best_column(["cosine:iresnet"], {}, {}) is None  # no validation pairs: nothing has a figure
    assert best_column("auto", {"raw_pixel": {"auc": 0.9}}, SCORERS) is None


@pytest.mark.parametrize("name", ["raw_pixel", "cosine:gone", "cosine_centred:rrfnet"])
def test_a_named_candidate_that_cannot_be_registered_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=f"got: {name}\n.*allowed: cosine:iresnet, cosine:bagnet, dam:r, regions:56"):
        best_column(["cosine:iresnet", name], FIGURES, SCORERS)


def test_networks_are_found_wherever_they_were_trained(tmp_path: Path) -> None:
    for folder in ("networks_over/rrfnet", "region_networks/p56/p56_x0_y28", "region_networks/p56_x28_y28/p56_x28_y28"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "network.json").touch()
    assert network_folders(tmp_path, SCORERS["dam:r"].needs) == {"rrfnet": tmp_path / "networks_over" / "rrfnet"}
    found = network_folders(tmp_path, SCORERS["regions:56"].needs)
    assert {name: path.parent.name for name, path in found.items()} == {
        "p56_x0_y28": "p56",
        "p56_x28_y28": "p56_x28_y28",
    }
    with pytest.raises(DataError, match="iresnet"):
        network_folders(tmp_path, SCORERS["cosine:iresnet"].needs)
