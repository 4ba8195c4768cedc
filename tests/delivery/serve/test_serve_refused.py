"""What is refused, with which status and which words; to a browser as a page."""

import base64
import struct
import tempfile
import zlib

import numpy as np
import pytest
from fastapi.testclient import TestClient
from served import PAGE, make, photograph

from pipeline_lib.data.shards.images import encode_png
from pipeline_lib.delivery.identify.model import Opened
from pipeline_lib.delivery.serve import app, body
from pipeline_lib.delivery.serve.limits import MAX_BODY_BYTES, MAX_PHOTOGRAPH_BYTES

A = photograph(1)
PAIR = {"image_a": A, "image_b": A}


def bomb() -> bytes:
    """A PNG of a few bytes that states 60,000 x 60,000 px."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    )


GREY = encode_png(np.full((120, 120, 3), 128, np.uint8))


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ({"image_a": A}, 422, "image_b is missing."),
        ({"image_a": A, "image_b": b""}, 422, "image_b is missing."),
        ({"image_a": A, "image_b": b"#!/bin/sh\necho secret"}, 422, "image_b: not an image"),
        ({"image_a": bomb(), "image_b": A}, 422, "image_a: too large (60000x60000 px"),
        ({"image_a": A[: len(A) // 2], "image_b": A}, 422, "image_a: truncated"),
        ({"image_a": A, "image_b": GREY}, 422, "image_b: no face"),
        ({"image_a": A, "photo": A}, 422, "image_b is missing."),
        ({**PAIR, "extra": (None, "1")}, 422, "There is no such field. (got: extra; allowed: image_a, image_b, method"),
        ({**PAIR, "fmr": (None, "often")}, 422, "fmr: Input should be a valid number"),
        ({**PAIR, "fmr": (None, "1e-9")}, 422, "A false-match rate cannot be told."),
        ({**PAIR, "threshold": (None, "nan")}, 422, "A threshold is no number."),
        ({**PAIR, "method": (None, "guess")}, 422, "This model is not explained by that method."),
        ({**PAIR, "face_a": (None, "0")}, 422, "face_a: Input should be greater than or equal to 1"),
        ({**PAIR, "face_a": (None, "2")}, 422, "image_a has no such face. (got: 2; allowed: 1 to 1)"),
        ({**PAIR, "third": A}, 400, "Too many files"),
        ({f"field{number}": (None, "1") for number in range(40)}, 400, "Too many fields"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong(client: TestClient, files: dict, status: int, words: str) -> None:
    answer = client.post("/verify", files=files)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
    assert words in answer.json()["error"]
    assert "secret" not in answer.text
    page = client.post("/verify", files=files, headers=PAGE)
    assert page.status_code == status
    assert "There is no answer." in page.text
    assert "image_b: " not in page.text  # but Photograph B


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"image_a": [' + 600 * b"[]," + b"1]}", "application/json", 400),
        (b'{"image_a": ' + 400 * b"[" + 400 * b"]" + b"}", "application/json", 422),
        (b'{"image_a": 1, "image_b": 2}', "application/json", 422),
        (b'{"image_a": "/etc/passwd", "image_b": "x"}', "application/json", 422),
        (b'{"image_a": "", "image_a": ""}', "application/json", 422),
        (b"image_a=1", "application/x-www-form-urlencoded", 415),
        (b"abc", "", 415),
        (b"abc", "multipart/form-data", 400),
        (b"abc", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\nabc\r\n--x--", "multipart/form-data; boundary=x", 400),
    ],
)
def test_a_body_that_is_not_what_it_says(client: TestClient, content: bytes, kind: str, status: int) -> None:
    answer = client.post("/verify", content=content, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert "passwd" not in answer.text
    assert answer.json()["error"]


def test_fifty_faces_are_a_choice_on_the_page_and_an_error_of_the_api(
    tiny: Opened, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (face,) = tiny.verifier.faces(A)[1]
    monkeypatch.setattr(type(tiny.verifier.detector), "detect", lambda self, images: [[face] * 50 for _ in images])
    assert "50 faces" in client.post("/verify", files=PAIR).json()["error"]
    page = client.post("/verify", files=PAIR, headers=PAGE)
    assert (page.status_code, page.text.count('type="radio"')) == (200, 100)


def test_long_bodies_and_photographs(client: TestClient) -> None:
    long = client.post("/verify", files={"image_a": bytes(MAX_BODY_BYTES), "image_b": A})
    assert (long.status_code, "The body is too large." in long.json()["error"]) == (413, True)
    longish = client.post("/verify", files={"image_a": A + bytes(MAX_PHOTOGRAPH_BYTES), "image_b": A})
    assert (longish.status_code, "image_a is too large." in longish.json()["error"]) == (413, True)

    def unstated():
        for _ in range(MAX_BODY_BYTES // (1 << 20) + 2):
            yield bytes(1 << 20)

    chunked = client.post("/verify", content=unstated(), headers={"Content-Type": "application/json"})
    assert chunked.status_code == 413


def test_photographs_stay_in_memory(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starlette would spool what is above 1 MB to a file."""

    def on_disk(*arguments: object, **more: object) -> None:
        raise AssertionError("a file was opened")

    noise = encode_png(np.random.default_rng(0).integers(0, 256, (700, 700, 3)).astype(np.uint8))
    assert len(noise) > 1 << 20
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", on_disk)
    for name in ("TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, on_disk)
    files = {"image_a": A, "image_b": noise, "name_a": (None, base64.b64encode(noise).decode())}
    assert "no face" in client.post("/verify", files=files).json()["error"]


def test_what_is_not_there(client: TestClient) -> None:
    assert client.get("/favicon.ico").json() == {"error": "Not Found."}
    assert client.get("/verify").status_code == 405
    assert client.post("/identify", files={"image": A}).json()["error"].startswith("This server has no gallery.")
    assert "There is no answer." in client.get("/nothing", headers=PAGE).text


def test_a_bug_of_ours_tells_nothing_but_that_it_is_one(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(app, "compare", broken)
    answer = client.post("/verify", files=PAIR)
    assert (answer.status_code, answer.json()) == (500, {"error": "The server failed; its log says why."})
    monkeypatch.undo()
    assert client.post("/verify", files=PAIR).status_code == 200


def test_names_are_shortened_and_escaped(client: TestClient) -> None:
    name = "../../<script>alert(1)</script>" + 200 * "x" + ".png"
    page = client.post("/verify", files={"image_a": (name, A), "image_b": ("b\n.png", A)}, headers=PAGE)
    assert "<script>alert" not in page.text
    assert "x" * body.MAX_NAME not in page.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "localhost@evil.example:80", "[::1"])
def test_another_host_gets_nothing(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:8000"])
def test_loopback_s_names_are_answered(client: TestClient, host: str) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


def test_a_page_of_another_site_may_not_post(client: TestClient) -> None:
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9"):
        assert client.post("/verify", files=PAIR, headers={"Origin": origin}).status_code == 403
    assert client.post("/verify", files=PAIR, headers={"Origin": "http://127.0.0.1:8000"}).status_code == 200


def test_a_token_is_asked_for(tiny: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "0123456789abcdef"
    with TestClient(make(monkeypatch, tiny, token=token).app, base_url="http://127.0.0.1:8000") as client:
        missing = client.get("/")
        assert (missing.status_code, missing.headers["www-authenticate"][:5]) == (401, "Basic")
        for given in (
            f"Bearer {token[:-1]}",
            f"Bearer {token}0",
            "Basic !",
            "Digest x",
            f"Token {token}",
            "Basic /w==",
        ):
            assert client.get("/", headers={"Authorization": given}).status_code == 401
        assert client.get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get("/", auth=("anybody", token)).status_code == 200
        assert client.get("/healthz").status_code == 200
        assert client.post("/verify", files=PAIR).status_code == 401


def test_every_answer_is_for_this_page_alone(client: TestClient) -> None:
    answers = [
        client.get("/"),
        client.get("/nothing"),
        client.post("/verify", files=PAIR, headers=PAGE),
        client.get("/healthz"),
    ]
    for answer in answers:
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "same-origin"
    first, second = (client.get("/").headers["content-security-policy"] for _ in range(2))
    assert first != second  # the nonce
    assert "unsafe" not in first


def test_the_log_names_no_photograph(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="face_verifier"):
        client.post("/verify?name=ann.png", files={"image_a": ("ann.png", A), "image_b": ("bob.png", A)})
        client.get("/ann.png")
    assert [record.message.rsplit(" ", 2)[0] for record in caplog.records] == [
        "POST /verify 200",
        "GET (another path) 404",
    ]
