"""Files that lie elsewhere: s3://, gs://, http(s):// and file:// through fsspec. Credentials come from the environment alone.

A URL is a text all the way: a pathlib.Path would make one slash of two. What fsspec takes besides (a user's name, a signed query)
is refused, for a manifest and a log would hold it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast
from urllib.parse import urlsplit

from pipeline_lib.core.errors import DataError

SCHEMES = ("s3", "gs", "http", "https", "file")
EXTRAS = {"s3": "s3", "gs": "gs", "http": "http", "https": "http"}  # of this package: what reads a scheme
WAIT_S = 60  # for an answer, before a request counts as lost
BLOCK_BYTES = 8 << 20  # of a file that is read from its begin to its end, in one request


def is_url(place: object) -> bool:
    """Whether a place is a URL and no path."""
    return "://" in str(place)


def join_url(folder: str, name: str) -> str:
    """The URL of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def last_name(url: str) -> str:
    """What a URL's last part is called: a file's or folder's name."""
    return url.rstrip("/").rpartition("/")[2]


def read_range(url: str, offset: int | None = None, length: int | None = None) -> bytes:
    """`length` bytes of a file from `offset` on, fewer where it ends before; all of it if both are None. Raises as opened."""
    with _said(url):
        end = None if offset is None or length is None else offset + length
        if end is not None and end == offset:
            return b""
        return bytes(_file_system(url).cat_file(url, start=offset, end=end))


def file_size(url: str) -> int:
    """A file's bytes. Raises as opened, and where the server does not say."""
    with _said(url):
        size = _file_system(url).size(url)
    if size is None:
        raise DataError("A server does not say how long a file is.", where=url)
    return int(size)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """A file to be read and sought in; neighbouring reads share a request.

    Raises:
        DataError: the scheme is none of SCHEMES or its package is missing, the URL holds a user's name or a query, nothing is
            there, or the server refuses or is not reached; while it is read, too.
    """
    with _said(url), _file_system(url).open(url, "rb", block_size=BLOCK_BYTES, cache_type="readahead") as handle:
        yield cast(IO[bytes], handle)


def list_urls(folder: str, suffix: str) -> list[str]:
    """The URLs of all files below a folder whose names end in `suffix`, sorted; `folder` itself if it is such a file.

    Names that begin with a dot are left out. Of a web server it takes what its listing links to. Raises as opened.
    """
    if folder.endswith(suffix):
        return [folder]
    with _said(folder):
        system = _file_system(folder)
        found = [str(system.unstrip_protocol(path)) for path in system.find(folder)]
    names = ((url, url[len(folder.rstrip("/")) + 1 :]) for url in found)
    return sorted(url for url, name in names if name.endswith(suffix) and not f"/{name}".count("/."))


def file_system(url: str) -> Any:
    """What reads the files of a URL's server. Raises as opened, where the URL or what is installed is the reason."""
    with _said(url):
        return _file_system(url)


def _file_system(url: str) -> Any:
    import fsspec

    scheme = check_url(url)
    options: dict[str, Any] = {}
    if scheme in ("http", "https"):
        import aiohttp

        options = {
            "client_kwargs": {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=WAIT_S, sock_read=WAIT_S)}
        }
    if scheme == "s3":
        options = {"config_kwargs": {"connect_timeout": WAIT_S, "read_timeout": WAIT_S}}
    return fsspec.filesystem(scheme, **options)


def check_url(url: str) -> str:
    """The scheme of a URL that may be used; raises DataError as opened does, and repeats neither a user's name nor a query."""
    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.hostname or ''}{parts.path}"
    if parts.scheme not in SCHEMES or not (parts.hostname or parts.scheme == "file"):
        what = "Files cannot be read from such a URL: its scheme is not known, or it names no place."
        raise DataError(what, got=parts.scheme, allowed=", ".join(f"{scheme}://" for scheme in SCHEMES), where=shown)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise DataError(
            "A URL holds a user's name, a password or a query; these belong into the environment: a log keeps URLs.",
            allowed="the place alone; credentials in the environment (AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS)",
            where=shown,
        )
    return parts.scheme


@contextmanager
def _said(url: str) -> Iterator[None]:
    """Errors of a server, or of a package that is missing, as one that names the URL; what it answers is not repeated."""
    scheme = check_url(url)
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        allowed = f'pip install "face-verifier[{EXTRAS[scheme]}]"' if scheme in EXTRAS else "pip install fsspec"
        raise DataError("A package for this scheme is missing.", got=error.name, allowed=allowed, where=url) from error
    except FileNotFoundError as error:
        raise DataError("There is nothing at this URL.", where=url) from error
    except Exception as error:  # botocore's and aiohttp's have no class in common
        if not _is_the_servers(error):
            raise
        got = f"{type(error).__name__} {getattr(error, 'status', '') or getattr(error, 'errno', '') or ''}".strip()
        raise DataError(
            "A URL cannot be read.", got=got, allowed="a server that is reached and lets us in", where=url
        ) from error


def _is_the_servers(error: Exception) -> bool:
    modules = {parent.__module__.partition(".")[0] for parent in type(error).__mro__}
    servers = {"aiohttp", "aiobotocore", "botocore", "s3fs", "gcsfs", "google", "fsspec"}
    return isinstance(error, OSError | TimeoutError) or bool(modules & servers)
