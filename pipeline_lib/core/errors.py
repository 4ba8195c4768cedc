"""Errors a user can act on: what is wrong, what was found, what is allowed, and where."""


class PipelineError(Exception):
    """Base of all errors that are the user's to mend; stages print them without a traceback.

    Args:
        what: one sentence on what is wrong and, where it helps, what to do.
        got: what was found.
        allowed: what would have been right.
        where: file and key.
    """

    def __init__(self, what: str, *, got: object = None, allowed: object = None, where: object = None) -> None:
        lines = [what]
        lines += [
            f"  {name}: {value}"
            for name, value in (("got", got), ("allowed", allowed), ("where", where))
            if value is not None
        ]
        super().__init__("\n".join(lines))


class ParamsError(PipelineError):
    """params.yaml holds an unknown key or a value outside its range."""


class DataError(PipelineError):
    """A table, shard or photograph set breaks its contract."""


class CheckpointError(PipelineError):
    """A model file is missing, truncated, or of another architecture."""


class DownloadError(PipelineError):
    """A file could not be fetched or its hash is wrong."""


class Interrupted(PipelineError):
    """Work stopped because it was asked to; what was done is kept, and a rerun goes on from there."""
