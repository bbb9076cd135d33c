"""PostgreSQL: the store of several machines. Needs the extra: `pip install 'interlock[postgres]'`."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import orjson

from guards.stores import CannotOpen, Row, Rows, StoreDown
from guards.stores.queued import QueuedStore, text_of

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 5
_LOCK_TABLES = 0x494C4B33

_TABLES = (
    'CREATE TABLE IF NOT EXISTS interlock_rows (key text COLLATE "C" PRIMARY KEY, value text NOT NULL, '
    "until double precision NOT NULL)",
    "CREATE INDEX IF NOT EXISTS interlock_rows_until ON interlock_rows (until) WHERE until > 0",
)
_LOCK = "SELECT pg_advisory_xact_lock(id) FROM unnest(%s::bigint[]) WITH ORDINALITY AS locks (id, place) ORDER BY place"
_READ = "SELECT key, value FROM interlock_rows WHERE key = ANY(%s)"
_WRITE = """
INSERT INTO interlock_rows SELECT * FROM unnest(%s::text[], %s::text[], %s::float8[])
ON CONFLICT (key) DO UPDATE SET value = excluded.value, until = excluded.until
"""
_DELETE = "DELETE FROM interlock_rows WHERE key = ANY(%s)"
_DUE = """
SELECT key, value FROM interlock_rows WHERE starts_with(key, %s) AND until > 0 AND until < %s ORDER BY until LIMIT %s
"""
_AFTER = """
SELECT key, value FROM interlock_rows WHERE starts_with(key, %s) AND key COLLATE "C" > %s
ORDER BY key COLLATE "C" LIMIT %s
"""


class PostgresDatabase:
    """One connection. Rows that are not there yet cannot be locked, so their keys are, in one order for everybody.

    Args:
        url: As libpq takes it.

    Raises:
        CannotOpen: psycopg is not installed, the server does not answer, or the table cannot be made.
    """

    def __init__(self, url: str) -> None:
        try:
            import psycopg
        except ImportError:
            raise CannotOpen("is PostgreSQL and psycopg is missing (pip install 'interlock[postgres]')") from None
        self._error = psycopg.Error
        try:
            self._database = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=CONNECT_SECONDS,
                prepare_threshold=None,  # poolers do not keep prepared statements
                tcp_user_timeout=STATEMENT_SECONDS * 2_000,  # milliseconds: a peer that is gone
                options=f"-c statement_timeout={STATEMENT_SECONDS}s -c default_transaction_isolation=read\\ committed",
            )
            with self._database.transaction(), self._database.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_TABLES,))
                for table in _TABLES:
                    cursor.execute(table)
        except psycopg.Error as error:
            raise CannotOpen(f"is PostgreSQL and does not answer ({type(error).__name__})") from None

    def transact(self, keys: Sequence[str], work: Callable[[dict[str, Row | None]], Rows]) -> None:
        """Read rows, let `work` say what to write, write it."""
        try:
            with self._database.transaction(), self._database.cursor() as cursor:
                cursor.execute(_LOCK, (sorted(map(_lock_of, keys)),))
                rows: dict[str, Row | None] = dict.fromkeys(keys)
                rows.update((key, orjson.loads(value)) for key, value in cursor.execute(_READ, (list(keys),)))
                _write(cursor, work(rows))
        except self._error as error:
            raise StoreDown(f"is PostgreSQL and failed ({type(error).__name__})") from None

    def due(self, prefix: str, before: float, at_most: int) -> Rows:
        """Rows whose `until` is over, the oldest first."""
        try:
            found = self._database.execute(_DUE, (prefix, before, at_most))
            return {key: orjson.loads(value) for key, value in found}
        except self._error as error:
            raise StoreDown(f"is PostgreSQL and failed ({type(error).__name__})") from None

    def after(self, prefix: str, key: str, at_most: int) -> Rows:
        """Rows whose keys begin so and come after `key`, in the order of their keys."""
        try:
            found = self._database.execute(_AFTER, (prefix, key, at_most))
            return {key: orjson.loads(value) for key, value in found}
        except self._error as error:
            raise StoreDown(f"is PostgreSQL and failed ({type(error).__name__})") from None

    def close(self) -> None:
        """Disconnect."""
        self._database.close()


def postgres_store(url: str) -> QueuedStore:
    """The store behind this URL; nothing is opened yet."""
    return QueuedStore(lambda: PostgresDatabase(url))


def _write(cursor: Any, rows: Rows) -> None:
    kept = [(key, text_of(row), float(row.get("until", 0))) for key, row in rows.items() if row is not None]
    gone = [key for key, row in rows.items() if row is None]
    if kept:
        cursor.execute(_WRITE, tuple(map(list, zip(*kept, strict=True))))
    if gone:
        cursor.execute(_DELETE, (gone,))


def _lock_of(key: str) -> int:
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), signed=True)
