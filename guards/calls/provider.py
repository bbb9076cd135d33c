"""Provider: whose limits a model call counts against: a server, and which of its keys. No vendor is known here."""

import os
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit


def provider_key(server: str, secret: str) -> str:
    """The name of a provider key: the server, and a digest that tells its keys apart and shows none of them.

    Args:
        server: Any URL of the server, or its provider's name.
        secret: The API key.
    """
    digest = blake2b(secret.encode(), digest_size=6, person=b"interlock-rate").hexdigest()
    place = (urlsplit(server).netloc or server).rpartition("@")[2].lower()
    return f"{place.removesuffix(':443').removesuffix(':80')}#{digest}"


def provider_of(serialized: Mapping[str, Any] | None, metadata: Mapping[str, Any]) -> str:
    """The provider key of a model as LangChain tells of it.

    `interlock_provider` in its metadata goes first. Else the server is the URL that it was made with, or its provider's
    name; and its key is the one that it would find in the environment, since one handed over is told to nobody.
    """
    if stated := metadata.get("interlock_provider"):
        return str(stated)
    made = (serialized or {}).get("kwargs") or {}
    urls = (value for value in made.values() if isinstance(value, str) and value.startswith("http"))
    server = next(urls, "") or str(metadata.get("ls_provider") or "unknown")
    return provider_key(server, next(filter(None, map(_from_environment, made.values())), ""))


def _from_environment(value: object) -> str:
    if not isinstance(value, Mapping) or value.get("type") != "secret":
        return ""
    return next((os.environ[name] for name in value.get("id") or () if name in os.environ), "")
