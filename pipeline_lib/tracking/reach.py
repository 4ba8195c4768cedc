"""Whether a store answers, found out in seconds and without MLflow, which would try for minutes."""

import http.client
import socket
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from urllib.parse import urlsplit

from pipeline_lib.tracking.moved import follow_folder
from pipeline_lib.tracking.store import RegistryError, database_file, shown_uri

ANSWERS_WITHIN_S = 3.0
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def find_store(uri: str) -> None:
    """What comes before MLflow opens a store: it answers, and knows where its artifacts are; raises as both say."""
    check_reach(uri)
    follow_folder(uri)


def check_reach(uri: str) -> None:
    """Return if a sqlite file opens, a web server answers (whatever it says) or a database server lets us connect.

    URIs of other kinds (databricks, file) are not looked at: MLflow says what is wrong with them, and at once.

    Raises:
        RegistryError: it does not, within 3 s (and what the name server takes).
    """
    try:
        _knock(uri)
    except (OSError, http.client.HTTPException, sqlite3.Error) as error:
        raise RegistryError("The MLflow store cannot be reached.", got=error, where=shown_uri(uri)) from None


def _knock(uri: str) -> None:
    database, parts = database_file(uri), urlsplit(uri)
    scheme = parts.scheme.partition("+")[0]
    if database is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(database, timeout=ANSWERS_WITHIN_S)) as connection:
            connection.execute("PRAGMA schema_version")
    elif scheme in ("http", "https"):
        try:
            urllib.request.urlopen(f"{shown_uri(uri).rstrip('/')}/health", timeout=ANSWERS_WITHIN_S).close()
        except urllib.error.HTTPError as error:  # it wants a password, or knows no /health: it is there
            error.close()
    elif scheme in PORTS and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or PORTS[scheme]), ANSWERS_WITHIN_S).close()
