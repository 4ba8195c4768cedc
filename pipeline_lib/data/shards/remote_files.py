"""Shards behind a URL: S3, Google Cloud Storage or HTTP, by ranges, through fsspec."""

from collections.abc import Sequence
from typing import Any

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.urls import file_system, join_url
from pipeline_lib.data.shards.part import MISSING, Part, too_short


class RemoteFiles:
    """Parts of the files below `url`; those asked for together are fetched at once.

    Who may read is what the service's own environment variables and files say (AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL,
    GOOGLE_APPLICATION_CREDENTIALS); a URL holds no password.

    Raises:
        DataError: see core.urls.file_system.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._fs = file_system(url)

    def where(self, shard: str) -> str:
        """A shard's URL."""
        return join_url(self._url, shard)

    def read(self, parts: Sequence[Part]) -> list[bytes]:
        """The bytes of each part.

        Raises:
            DataError: a shard is missing or cannot be fetched, ends before the part does, or the server sends no ranges; names
                shard and member.
        """
        paths = [self.where(part.shard) for part in parts]
        found = self._fs.cat_ranges(
            paths, [part.start for part in parts], [part.end for part in parts], on_error="return"
        )
        for part, block in zip(parts, found, strict=True):
            self._check(part, block)
        return list(found)

    def _check(self, part: Part, block: bytes | Exception) -> None:
        where, length = f"{self.where(part.shard)}, {part.name}", part.end - part.start
        if isinstance(block, FileNotFoundError):
            raise DataError(MISSING, where=where) from block
        if isinstance(block, Exception):
            raise DataError("A shard cannot be read.", got=f"{type(block).__name__}: {block}", where=where) from block
        if len(block) < length:
            raise too_short(self, part, part.start + len(block))
        if len(block) > length:
            problem = "A server sends whole shards where a part was asked for (HTTP's Range)."
            raise DataError(problem, got=f"{len(block)} bytes", allowed=f"{length}", where=where)

    def shards(self) -> list[str]:
        """The names of all `*.tar` below the URL, sorted.

        Raises:
            DataError: nothing is there, or a server does not list it.
        """
        try:
            found = [str(name).rpartition("/")[2] for name in self._fs.ls(self._url, detail=False)]
        except Exception as error:  # botocore's, aiohttp's and Google's errors have no class in common
            raise DataError("A folder of shards cannot be listed.", got=error, where=self._url) from error
        return sorted(name for name in found if name.endswith(".tar"))

    def open(self, shard: str) -> Any:
        """A shard as a binary file that can be sought in, fetched as it is read."""
        return self._fs.open(self.where(shard), "rb")
