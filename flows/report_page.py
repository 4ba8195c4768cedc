"""The report as a page on the loopback address: a browser opens no file from a link of another server's page."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTHING_YET = b"There is no report yet: a rebuild makes it."


@contextmanager
def serve_report(root: Path, host: str, port: int) -> Iterator[None]:
    """Answer GET / with the report that `root` has at that moment, until the block ends; 404 while there is none.

    Only requests that name this address as their host are answered: another site whose name leads here could read the page else.
    """
    page, names = root / "data" / "report" / "index.html", {f"{host}:{port}", f"localhost:{port}"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.headers.get("Host") not in names:
                self.send_error(HTTPStatus.FORBIDDEN)
            elif self.path != "/":
                self.send_error(HTTPStatus.NOT_FOUND)
            elif page.is_file():
                self._answer(HTTPStatus.OK, "text/html; charset=utf-8", page.read_bytes())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", NOTHING_YET)

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")  # the next rebuild writes another one
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Quiet: the terminal is Prefect's and MLflow's."""

    with ThreadingHTTPServer((host, port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
