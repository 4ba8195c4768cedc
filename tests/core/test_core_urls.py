"""Files by URL: ranges, listings, and errors that name the URL and hold no secret."""

from pathlib import Path

import pytest

from pipeline_lib.core.errors import DataError
from pipeline_lib.core.urls import file_size, is_url, join_url, last_name, list_urls, opened, read_range
from tests.data.s3_server import serve_folder


def test_what_a_url_is() -> None:
    assert [is_url(place) for place in ("s3://a/b", "file:///a", Path("/a/b"), "a:b")] == [True, True, False, False]
    assert join_url("s3://a/b/", "c.rec") == join_url("s3://a/b", "c.rec") == "s3://a/b/c.rec"
    assert last_name("s3://a/b/") == "b"


@pytest.mark.parametrize("by", ["http", "file"])
def test_ranges_and_listings(tmp_path: Path, by: str) -> None:
    (tmp_path / "deep/.hidden").mkdir(parents=True)
    (tmp_path / "a.bin").write_bytes(bytes(range(100)))
    for name in ("deep/b.bin", "deep/c.txt", "deep/.d.bin", "deep/.hidden/e.bin"):
        (tmp_path / name).write_bytes(b"x")
    with serve_folder(tmp_path) as address:
        root = address if by == "http" else tmp_path.as_uri()
        url = join_url(root, "a.bin")
        assert (read_range(url, 10, 5), read_range(url, 98, 50), read_range(url, 3, 0)) == (
            bytes(range(10, 15)),
            bytes([98, 99]),
            b"",
        )
        assert (read_range(url), file_size(url)) == (bytes(range(100)), 100)
        with opened(url) as handle:
            handle.seek(50)
            assert handle.read(2) == bytes([50, 51])
        assert list_urls(root, ".bin") == [url, join_url(root, "deep/b.bin")]
        assert list_urls(url, ".bin") == [url]
        assert list_urls(join_url(root, "gone"), ".bin") == []
        for action in (read_range, file_size):
            with pytest.raises(DataError, match="nothing at this URL"):
                action(join_url(root, "gone"))
    if by == "http":
        with pytest.raises(DataError, match=r"cannot be read[^?]*a\.bin"):
            read_range(url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("ftp://host/a", "not known"),
        ("s3://key:secret@bucket/a", "a user's name"),
        ("https://host/a?X-Amz-Signature=secret", "a user's name"),
    ],
)
def test_urls_that_are_refused(url: str, what: str) -> None:
    for action in (read_range, file_size, lambda url: list_urls(url, ".rec")):
        with pytest.raises(DataError, match=what) as caught:
            action(url)
        assert "secret" not in str(caught.value)


def test_a_bucket(s3_bucket: str) -> None:
    import s3fs

    s3fs.S3FileSystem().pipe_file(f"{s3_bucket}/set/a.bin", bytes(range(100)))
    assert list_urls(s3_bucket, ".bin") == [f"{s3_bucket}/set/a.bin"]
    assert read_range(f"{s3_bucket}/set/a.bin", 90, 20) == bytes(range(90, 100))
    with pytest.raises(DataError, match="nothing at this URL"):
        read_range(f"{s3_bucket}/set/gone.bin")
