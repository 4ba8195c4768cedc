"""Who is gone, asked of the store through which ranks met."""

import threading
from datetime import timedelta

import pytest
import torch
from torch.distributed import TCPStore

from pipeline_lib.core.world import World, roll_call

SECOND_OF_THREE = World(1, 1, 3, torch.device("cpu"))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> list[TCPStore]:
    """Rank 0's store, which goes down when it is taken out of the list."""
    kept = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(kept.port))
    return [kept]


@pytest.mark.parametrize(("present", "lost"), [([0, 2], []), ([0], [2]), ([2], [0]), ([], [0, 2])])
def test_those_that_do_not_answer_are_named(store: list[TCPStore], present: list[int], lost: list[int]) -> None:
    for rank in present:
        store[0].set(f"present/{rank}", "")
    assert roll_call(SECOND_OF_THREE, 1.0) == lost


@pytest.mark.parametrize(("has_answered", "lost"), [(True, [2]), (False, [0])])
def test_a_store_that_goes_down_is_rank_0s_end_or_loss(
    store: list[TCPStore], has_answered: bool, lost: list[int]
) -> None:
    """Having answered, rank 0 may be done sooner than this one; the third rank never answers."""
    if has_answered:
        store[0].set("present/0", "")
    end = threading.Timer(1.0, store.clear)
    end.start()
    assert roll_call(SECOND_OF_THREE, 30.0) == lost
    end.join()
