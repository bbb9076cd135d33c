"""Keys: API keys in SQLite, as hashes. A key is shown once, when it is made.

A key's secret is 256 random bits, so its SHA-256 cannot be searched for; a slow hash would add nothing but a way to
burn the server's CPU with wrong keys. The id in front finds the row; the hashes are compared in constant time.
"""

import hashlib
import hmac
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from interlock.doors.caller import LABEL, Caller, Role

PREFIX: Final = "il"
LONGEST: Final = 128
SECONDS_A_DAY: Final = 86_400
WAIT_SECONDS: Final = 5.0

SCHEMA: Final = """CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, hash TEXT NOT NULL, name TEXT NOT NULL,
tenant TEXT NOT NULL, role TEXT NOT NULL, made REAL NOT NULL, expires REAL, revoked REAL) STRICT"""


@dataclass(frozen=True)
class Key:
    """A key as it is listed: everything but the key. Times are seconds since 1970."""

    id: str
    name: str
    tenant: str
    role: Role
    made: float
    expires: float | None
    revoked: float | None

    def good(self, now: float) -> bool:
        """Whether it opens the door."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def keys_file() -> Path:
    """INTERLOCK_KEYS, else a file in the data folder. While it is there, the door is closed."""
    from guards.folder import data_folder

    stated = os.environ.get("INTERLOCK_KEYS", "")
    return Path(stated) if stated else data_folder() / "keys.sqlite"


class Keys:
    """The keys of a file. Blocks: call it in a thread.

    Args:
        path: The file; `add` makes it, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, tenant: str, role: Role, days: float | None = None) -> tuple[str, str]:
        """Make a key.

        Returns:
            Its id, and the key itself, which nobody can tell again.

        Raises:
            ValueError: The tenant's name cannot be used.
        """
        if not LABEL.fullmatch(tenant):
            raise ValueError(f"tenant '{tenant[:80]}': use letters, digits, - and _, at most 64")
        secret, key, now = secrets.token_urlsafe(32), secrets.token_hex(6), time.time()
        expires = None if days is None else now + days * SECONDS_A_DAY
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        with self._open() as rows:
            rows.execute(SCHEMA)
            row = (key, _hash(secret), name, tenant, role, now, expires)
            rows.execute("INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", row)
        return key, f"{PREFIX}_{key}_{secret}"

    def listed(self) -> list[Key]:
        """All keys, the oldest first."""
        with self._open() as rows:
            found = rows.execute("SELECT id, name, tenant, role, made, expires, revoked FROM keys ORDER BY made")
            return [Key(*row) for row in found]

    def revoke(self, key: str) -> bool:
        """Let a key open nothing any more, at once. False: there is no such key."""
        with self._open() as rows:
            done = rows.execute("UPDATE keys SET revoked = ifnull(revoked, ?) WHERE id = ?", (time.time(), key))
            return done.rowcount > 0

    def caller(self, text: str) -> Caller | None:
        """Whose key it is; None if it opens nothing."""
        key, _, secret = text.removeprefix(f"{PREFIX}_").partition("_")
        with self._open() as rows:
            row = rows.execute(
                "SELECT hash, id, name, tenant, role, made, expires, revoked FROM keys WHERE id = ?", (key,)
            ).fetchone()
        same = hmac.compare_digest(row[0] if row else _hash(""), _hash(secret))
        if row is None or not same:
            return None
        found = Key(*row[1:])
        return Caller(f"key-{found.id}", found.tenant, found.role) if found.good(time.time()) else None

    @contextmanager
    def _open(self) -> "Iterator[sqlite3.Connection]":
        place = f"{self.path.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(place, timeout=WAIT_SECONDS, uri=True)) as rows, rows:
            yield rows


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
