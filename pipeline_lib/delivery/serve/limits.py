"""What the server takes, and how it refuses the rest."""

from pipeline_lib.core.errors import PipelineError

MAX_PHOTOGRAPH_BYTES = 16 << 20
MAX_BODY_BYTES = 2 * MAX_PHOTOGRAPH_BYTES * 4 // 3 + (64 << 10)  # two photographs as base64, and what else is asked
MAX_FIELDS = 16
PLACES = 5  # requests that are read, wait or are computed; each holds its body and the parts of it
RETRY_AFTER_S = 2
HEAD_S = 10.0  # from a connection to the end of its request's head
BODY_S = 30.0  # for a whole body
DRAIN_S, DRAIN_BYTES = 10.0, 512 << 20  # a body that is refused is read to its end so far, or its sender sees no answer


class Refused(PipelineError):
    """A request that is not answered as it was meant.

    Args:
        status: of HTTP.
        what, got, allowed: see PipelineError.
        more: further keys of the JSON answer.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        what: str,
        *,
        got: object = None,
        allowed: object = None,
        more: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(what, got=got, allowed=allowed)
        self.status, self.more, self.headers = status, more or {}, headers or {}


class WentAway(Exception):
    """The client closed its connection; nobody reads an answer."""


def too_large(what: str, num_bytes: int | None, allowed: int) -> Refused:
    """A body, or a photograph in it, is too long."""
    got = "more" if num_bytes is None else f"{num_bytes / 1e6:.1f} MB"
    return Refused(413, what, got=got, allowed=f"{allowed / 1e6:.1f} MB")
