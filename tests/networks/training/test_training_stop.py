"""Requests to stop: which signals are taken, where, and for how long."""

import signal
import threading

import pytest

from pipeline_lib.networks.training.stop import stop_request


def test_stop_request_takes_signals_only_inside_its_block() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stop_request() as stop:
        assert not stop.made
        signal.raise_signal(signal.SIGTERM)
        assert stop.made
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # a second one ends the process
    assert signal.getsignal(signal.SIGTERM) == before
    with stop_request():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_outside_the_main_thread_no_signal_is_taken() -> None:
    made: list[bool] = []

    def elsewhere() -> None:
        with stop_request() as stop:
            made.append(stop.made)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert made == [False]
