"""`make ui`'s page of the report: what lies there now, and for this address alone."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from flows.report_page import NOTHING_YET, serve_report
from flows.serve import HOST, free_port


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    port = free_port(0)
    with serve_report(tmp_path, HOST, port):
        yield f"http://{HOST}:{port}"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://{HOST}:{port}")


def test_the_report_that_is_there_at_that_moment(address: str, tmp_path: Path) -> None:
    answer = httpx.get(address)
    assert (answer.status_code, answer.content) == (404, NOTHING_YET)
    for text in ("<p>première</p>", "<p>another</p>"):
        folder = tmp_path / "data" / "report"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index.html").write_text(text, encoding="utf-8")
        answer = httpx.get(address)
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/../index.html", "/data/report/index.html", "/index.html?x", "//etc/passwd"])
def test_nothing_else_is_served(address: str, tmp_path: Path, path: str) -> None:
    (tmp_path / "index.html").write_text("private")
    assert httpx.get(f"{address}{path}").status_code == 404


def test_another_site_s_name_for_this_address_is_refused(address: str, tmp_path: Path) -> None:
    """As a page of attacker.example would reach it, whose name is made to lead to 127.0.0.1."""
    (tmp_path / "data" / "report").mkdir(parents=True)
    (tmp_path / "data" / "report" / "index.html").write_text("private")
    answer = httpx.get(address, headers={"Host": "attacker.example:5001"})
    assert answer.status_code == 403
    assert "private" not in answer.text
    assert httpx.get(address.replace(HOST, "localhost")).text == "private"
    assert httpx.post(address).status_code == 501
