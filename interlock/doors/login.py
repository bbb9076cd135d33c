"""Login: who sent a request. Keys and tokens are looked at in a thread, never on the event loop."""

import asyncio
import os
import sqlite3
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final

from interlock.doors.caller import LOCAL, Caller, Denied
from interlock.doors.here import from_here, headers_of
from interlock.doors.keys import LONGEST as LONGEST_KEY
from interlock.doors.keys import PREFIX, Keys, keys_file
from interlock.doors.tokens import LONGEST, Issuer, Tokens, issuer

SEEN: Final = "interlock.caller"

OPEN: Final = (
    "nobody has closed this server, so it answers this machine alone: make a key with `interlock keys add NAME`, or "
    "set INTERLOCK_JWKS"
)


def is_closed() -> bool:
    """Whether callers must show a key or a token: a key was ever made, or an issuer is named.

    Raises:
        ValueError: The issuer is half named.
    """
    return issuer() is not None or bool(os.environ.get("INTERLOCK_KEYS")) or keys_file().exists()


async def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Who sent a request; looked up once a request.

    Raises:
        Denied: Nobody that may.
    """
    if SEEN not in scope:
        scope[SEEN] = await asyncio.to_thread(_caller, dict(scope))
    found: Caller = scope[SEEN]
    return found


def _caller(scope: Mapping[str, Any]) -> Caller:
    try:
        if is_closed():
            return _shown(credential(headers_of(scope)))
    except (OSError, sqlite3.Error, ValueError):
        raise Denied(503, "keys or tokens cannot be looked at now: see the server's settings") from None
    if not from_here(scope):
        raise Denied(403, OPEN)
    return LOCAL


def _shown(text: str) -> Caller:
    os.environ["INTERLOCK_ROOTS"] = os.environ.get("INTERLOCK_ROOTS") or "none"
    if not text:
        raise Denied(401, "a key or a token is needed: X-Api-Key, or Authorization: Bearer")
    if text.startswith(f"{PREFIX}_"):
        if len(text) <= LONGEST_KEY and (found := Keys(keys_file()).caller(text)):
            return found
        raise Denied(401, "the key is unknown, expired or revoked")
    named = issuer()
    if named is None or len(text) > LONGEST:
        raise Denied(401, "this is no key, and no token that is taken here")
    return _tokens(named).caller(text)


@lru_cache(maxsize=1)
def _tokens(named: Issuer) -> Tokens:
    return Tokens(named)


def credential(headers: Mapping[str, str]) -> str:
    """The key or token that a request shows; a bearer goes before X-Api-Key."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" and bearer.strip() else headers.get("x-api-key", "").strip()
