"""One PostgreSQL server: its URL, a connection pool, and errors with the server's name."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from triptych.errors import SearchError

if TYPE_CHECKING:
    from psycopg import Connection, Error

DEFAULT_NAME = "images"
NAME = re.compile(r"[a-z0-9_]{1,40}")
PATIENCE_SECONDS = 10
MOST_IDLE = 8
LEAST_VERSION = (0, 8)
"""The first pgvector version with iterative scans, which continue until enough rows satisfy a filter."""


class Server:
    """A server with an index, or one shard of it. Thread-safe.

    Args:
        url: PostgreSQL's URL, possibly with several hosts, and `#name` for the name of the index.

    Raises:
        SearchError: The URL or the name is not valid.
    """

    def __init__(self, url: str) -> None:
        from psycopg import ProgrammingError
        from psycopg.conninfo import conninfo_to_dict

        self._url, _, name = url.partition("#")
        self.name = name or DEFAULT_NAME
        if not NAME.fullmatch(self.name):
            raise SearchError(f"Expected a name of an index of 1 to 40 of a-z, 0-9 and _, got {self.name!r}.")
        try:
            given: dict[str, Any] = conninfo_to_dict(self._url)
        except ProgrammingError:  # its message may contain the password
            raise SearchError(
                "Expected the URL of a PostgreSQL database, such as postgresql://user@host:5432/database#photos."
            ) from None
        self._options: dict[str, Any] = {"connect_timeout": PATIENCE_SECONDS, **given}
        place = ":".join(str(given[key]) for key in ("host", "port") if given.get(key))
        self.place = f"postgresql://{place}/{given.get('dbname', '')}#{self.name}"
        self._idle: list[Connection[Any]] = []
        self._lock = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator["Connection[Any]"]:
        """Run statements in one transaction on a connection that works.

        Raises:
            SearchError: The server cannot be reached, or rejects a statement.
        """
        import psycopg

        connection = None
        try:
            connection = self._connection()
            with connection.transaction():
                yield connection
        except psycopg.Error as error:
            raise self._explained(error) from error
        finally:
            if connection is not None:
                self._put_back(connection)

    @contextmanager
    def alone(self) -> Iterator["Connection[Any]"]:
        """Run statements that cannot be in a transaction, such as VACUUM."""
        import psycopg

        try:
            with psycopg.connect(**self._options, autocommit=True) as connection:
                yield connection
        except psycopg.Error as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _connection(self) -> "Connection[Any]":
        """Return a working connection: an idle one, or a new one."""
        import psycopg
        from pgvector.psycopg import register_vector

        while self._idle:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            try:
                connection.execute("SELECT 1")
            except psycopg.Error:
                connection.close()  # the server was restarted, or another one took its place
            else:
                return connection
        # Otherwise cached query plans would be used for every filter and vector.
        connection = psycopg.connect(**self._options, autocommit=True, prepare_threshold=None)
        if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'vector'").fetchone():
            register_vector(connection)
        return connection

    def _put_back(self, connection: "Connection[Any]") -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < MOST_IDLE:
                self._idle.append(connection)
                return
        connection.close()

    def _explained(self, error: "Error") -> SearchError:
        from psycopg import errors

        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        for given in ("password",):
            if secret := self._options.get(given):
                reason = reason.replace(str(secret), "…")
        advice = "Check that the server runs and that the user may use the database."
        if isinstance(error, errors.ReadOnlySqlTransaction):
            advice = "A replica takes no changes: use the URL of the primary, or both hosts with "
            advice += "?target_session_attrs=primary."
        elif isinstance(error, errors.UndefinedTable):
            advice = "There is no index of this name; make it with `triptych index MODEL IMAGES --out URL`."
        return SearchError(f"{self.place}: PostgreSQL reports: {reason}. {advice}")


def require_pgvector(connection: "Connection[Any]", place: str) -> None:
    """Enable the extension in the database.

    Raises:
        SearchError: The server does not have it, or has an old version.
    """
    import psycopg
    from pgvector.psycopg import register_vector

    try:
        with connection.transaction():
            connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except psycopg.Error as error:
        raise SearchError(
            f"{place}: expected a server with the extension pgvector, and a user who may create it: "
            f"{str(error).splitlines()[0]}. Install pgvector, or have an administrator run CREATE EXTENSION vector."
        ) from None
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'vector'").fetchone()
    version = str(row[0] if row else "0")
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < LEAST_VERSION:
        raise SearchError(f"{place}: expected pgvector 0.8 or newer, got {version}. Run ALTER EXTENSION vector UPDATE.")
    register_vector(connection)
