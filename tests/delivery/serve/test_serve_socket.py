"""The real server: who is slow, who goes away, who comes when all places are taken, and many requests of which some are bad."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import psutil
import pytest
from served import Served, listening, make, photograph, until
from typer.testing import CliRunner

from pipeline_lib.cli import app as command_line
from pipeline_lib.core.errors import DataError
from pipeline_lib.delivery.identify import embedded
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.serve import body, server, warm
from pipeline_lib.delivery.serve.limits import PLACES
from pipeline_lib.delivery.serve.server import answered_names, bind, read_token

A, B = (photograph(person, size_px=160) for person in (1, 2))


@pytest.fixture(scope="module")
def served(tiny: Opened) -> Iterator[Served]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        found = make(monkeypatch, tiny)
        with listening(found) as found.url:
            yield found


def form(**parts: bytes) -> bytes:
    lines = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"; filename="p.png"\r\n\r\n'.encode() + data + b"\r\n"
        for name, data in parts.items()
    ]
    return b"".join([*lines, b"--x--\r\n"])


def post(
    url: str, data: bytes, kind: str = "multipart/form-data; boundary=x"
) -> tuple[int, dict, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", "/verify", data, {"Content-Type": kind})
    with connection.getresponse() as answer:
        return answer.status, json.loads(answer.read()), answer.headers


def connect(url: str, data: bytes) -> socket.socket:
    found = socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=30)
    found.sendall(data)
    return found


def head(length: int) -> bytes:
    kind = "Content-Type: multipart/form-data; boundary=x\r\n"
    return f"POST /verify HTTP/1.1\r\nHost: localhost\r\n{kind}Content-Length: {length}\r\n\r\n".encode()


class Blocked:
    """Nothing is computed in the block."""

    def __init__(self, served: Served) -> None:
        self._served, self._go = served, threading.Event()

    def __enter__(self) -> None:
        self._served.places._one_at_a_time.submit(self._go.wait)

    def __exit__(self, *error: object) -> None:
        self._go.set()


def test_a_hundred_megabytes_get_an_answer(served: Served) -> None:
    """A client that sends on to the end, as browsers do, sees why its photograph is refused."""
    status, answer, _ = post(served.url, bytes(100_000_000))
    assert (status, "The body is too large." in answer["error"]) == (413, True)


def test_who_comes_when_all_places_are_taken_is_sent_away(served: Served) -> None:
    data = form(image_a=A, image_b=B)
    with ThreadPoolExecutor(PLACES) as pool:
        with Blocked(served):
            waiting = [pool.submit(post, served.url, data) for _ in range(PLACES)]
            until(lambda: served.places.taken == PLACES)
            status, answer, headers = post(served.url, data)
            assert (status, headers["Retry-After"]) == (503, "2")
            assert answer["error"].startswith("The server is busy")
        assert [one.result()[0] for one in waiting] == [200] * PLACES
    assert served.places.taken == 0


def test_a_client_that_goes_away_frees_its_place(served: Served) -> None:
    data = form(image_a=A, image_b=B)
    computed = []
    with Blocked(served):
        gone = connect(served.url, head(len(data)) + data)
        until(lambda: served.places.taken == 1)
        gone.close()
        until(lambda: served.places.taken == 0)
        half = connect(served.url, head(len(data)) + data[:1000])  # and one that goes while it sends
        until(lambda: served.places.taken == 1)
        half.close()
        until(lambda: served.places.taken == 0)
        served.places._one_at_a_time.submit(computed.append, "next")
    until(lambda: computed == ["next"])
    assert post(served.url, data)[0] == 200


def test_slow_clients_are_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_S", 0.2)
    monkeypatch.setattr("pipeline_lib.delivery.serve.guard.DRAIN_S", 0.2)
    with connect(served.url, head(1000) + b"abc") as slow:
        assert slow.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
    monkeypatch.setattr(server, "HEAD_S", 0.2)
    with connect(served.url, b"GET / HTTP/1.1\r\nHost:") as slow:
        assert slow.recv(1 << 16) == b""
    assert served.places.taken == 0


def test_a_connection_is_one_request(served: Served) -> None:
    with connect(served.url, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2) as connection:
        answer = b""
        while more := connection.recv(1 << 16):
            answer += more
    assert answer.count(b"HTTP/1.1 200") == 1


def test_every_one_of_many_requests_is_answered(served: Served) -> None:
    """Three of sixty are bad; two come at once."""
    good = form(image_a=A, image_b=B)
    bad = [(form(image_a=A), 422), (form(image_a=A, image_b=b"no picture"), 422), (b"x", 400)]
    asked = [bad[number // 20] if number % 20 == 7 else (good, 200) for number in range(60)]
    process = psutil.Process()
    before = None
    with ThreadPoolExecutor(2) as pool:
        for start in (0, 20, 40):
            part = asked[start : start + 20]
            answers = list(pool.map(lambda one: post(served.url, one[0]), part))
            assert [answer[0] for answer in answers] == [status for _, status in part]
            assert len({answer[1]["similarity"] for answer in answers if answer[0] == 200}) == 1
            before = before or process.memory_info().rss
    # benchmarks/serve.py measures a thousand; here only that no request keeps its photographs (0.1 MB a pair) and arrays.
    assert process.memory_info().rss - before < 64 << 20


def test_the_page_is_there_for_a_browser(served: Served) -> None:
    with urlopen(Request(served.url, headers={"Accept": "text/html"}), timeout=30) as answer:
        assert "Do two photographs show one person?" in answer.read().decode()


def test_a_port_that_is_taken(served: Served) -> None:
    with pytest.raises(DataError, match="cannot listen"):
        bind("127.0.0.1", urlsplit(served.url).port or 0)
    with pytest.raises(DataError, match="cannot listen"):
        bind("no.such.host.invalid", 0)


def test_without_a_token_nothing_but_loopback_is_bound(tmp_path: Path) -> None:
    refused = CliRunner().invoke(command_line, ["serve", "--host", "0.0.0.0", "--port", "0"])
    assert isinstance(refused.exception, DataError)
    assert "a token is needed" in str(refused.exception)
    (tmp_path / "token").write_text(" 0123456789abcdef\n")
    assert read_token("0.0.0.0", tmp_path / "token") == "0123456789abcdef"
    assert read_token("::1", None) is None
    (tmp_path / "short").write_text("secret")
    with pytest.raises(DataError, match="too short"):
        read_token("127.0.0.1", tmp_path / "short")
    with pytest.raises(DataError, match="cannot be read"):
        read_token("127.0.0.1", tmp_path / "none")


def test_the_command_looks_at_the_gallery_says_where_it_is_and_ends_at_ctrl_c(
    tiny: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_at = []

    class Server:
        def __init__(self, app: object) -> None:
            assert [path.suffix for path in (tmp_path / "cache").rglob("*.parquet")] == [".parquet"]

        def run(self, sockets: list[socket.socket]) -> None:
            served_at.append(sockets[0].getsockname()[1])
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(embedded, "map_batches", lambda function, batches, *rest, **more: map(function, batches))
    monkeypatch.setattr(warm, "open_shipped", lambda: tiny)
    monkeypatch.setattr(server, "make_server", Server)
    (tmp_path / "people").mkdir()
    (tmp_path / "people" / "Ann.png").write_bytes(A)
    done = CliRunner().invoke(command_line, ["serve", "--port", "0", "--gallery", "people"])
    assert done.exit_code == 0, done.exception
    assert done.stdout == f"tiny, version 1 answers at http://127.0.0.1:{served_at[0]}/ (Ctrl-C stops it)\n"
    nothing = CliRunner().invoke(command_line, ["serve", "--port", "0", "--gallery", "nowhere"])
    assert "There is no such gallery" in str(nothing.exception)


def test_names_that_are_answered() -> None:
    assert answered_names("0.0.0.0", ["Faces.Example"]) == {"localhost", "127.0.0.1", "::1", "faces.example"}
    assert "192.0.2.7" in answered_names("192.0.2.7", [])
