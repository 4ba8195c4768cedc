"""Being asked to stop: SIGTERM or SIGINT set a flag that the training loop looks at between steps."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger("face_verifier")
SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopRequest:
    """`made` turns true with the first signal; a second one acts as if this had not been there."""

    def __init__(self) -> None:
        self.made = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        log.info("%s: training saves its state and stops", signal.Signals(number).name)
        self.made = True
        for each in SIGNALS:
            signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Take SIGTERM and SIGINT while the block runs; outside a main thread, which gets no signals, take none."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request._on_signal) for number in SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
