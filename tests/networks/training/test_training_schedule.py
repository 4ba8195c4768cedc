"""The learning rate of every step."""

import pytest
from pydantic import ValidationError
from tiny_training import TRAIN

from pipeline_lib.networks.training.schedule import learning_rate
from pipeline_lib.params.networks import NetworkOver


def test_golden() -> None:
    rates = [learning_rate(step, num_steps=7, num_warmup_steps=3, peak=0.8) for step in range(7)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.6, 0.4, 0.2])


def test_first_step_is_never_the_peak_with_a_warmup_and_no_step_is_wasted() -> None:
    for num_steps, num_warmup_steps in ((10, 1), (10, 9), (10, 10), (10, 50), (1, 1), (1000, 30)):
        rates = [learning_rate(step, num_steps, num_warmup_steps, 0.1) for step in range(num_steps)]
        assert rates[0] < 0.1
        assert all(0 < rate <= 0.1 for rate in rates)
        steps_up = rates[: num_warmup_steps + 1]
        assert steps_up == sorted(steps_up)
        down = rates[num_warmup_steps:]
        assert down == sorted(down, reverse=True)


def test_without_a_warmup_it_starts_at_the_peak() -> None:
    assert learning_rate(0, 4, 0, 0.1) == 0.1


@pytest.mark.parametrize("step", [-1, 4])
def test_a_step_outside_is_our_bug(step: int) -> None:
    with pytest.raises(ValueError, match="is not one of 4"):
        learning_rate(step, 4, 1, 0.1)


def test_a_tenth_from_each_decay_on() -> None:
    """Two epochs of warm-up steps, then the peak until step 4, a tenth until 6, a hundredth."""
    rates = [learning_rate(step, 8, 2, 0.3, decay_steps=[4, 6]) for step in range(8)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, 0.3, 0.03, 0.03, 0.003, 0.003])
    assert [learning_rate(step, 3, 0, 0.1, decay_steps=[]) for step in range(3)] == [0.1] * 3


def test_an_entry_s_decays_stand_in_place_of_the_section_s_and_come_to_pass() -> None:
    entry = {
        "kind": "fusion",
        "over": ["a", "b"],
        "epochs": 24,
        "head": {"kind": "arcface"},
        "decay_epochs": [10, 16, 22],
    }
    assert TRAIN.with_own(NetworkOver.model_validate(entry)).decay_epochs == [10, 16, 22]
    assert TRAIN.with_own(NetworkOver.model_validate({**entry, "decay_epochs": None})).decay_epochs is None
    for wrong in ({"epochs": 22}, {"decay_epochs": [16, 10]}, {"decay_epochs": [10, 10]}, {"decay_epochs": [0, 10]}):
        with pytest.raises(ValidationError, match="decay_epochs"):
            NetworkOver.model_validate({**entry, **wrong})
