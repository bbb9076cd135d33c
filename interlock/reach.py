"""Reach: whether a server takes connections, asked without sending it anything."""

import asyncio
import os
from typing import Final
from urllib.parse import urlsplit

CONNECT_SECONDS: Final = 2.0
OWN: Final = ("localhost", "127.0.0.1", "::1")


async def unreachable(url: str, seconds: float = CONNECT_SECONDS) -> str:
    """Why no connection can be made to a server, in one line; empty when one can.

    Args:
        url: Any URL of it; what lies behind a proxy is not tried, the proxy is.
        seconds: How long to wait.
    """
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        name, port = None, 0
    if not name or parts.scheme not in ("http", "https"):
        return "its address is no http or https URL"
    if name not in OWN and (proxy := _proxy()):
        name, port = urlsplit(proxy).hostname or name, urlsplit(proxy).port or 80
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(name, port)
    except TimeoutError:
        return f"{place(url)} does not answer within {seconds:g} s"
    except OSError as error:
        return f"{place(url)} cannot be reached ({type(error).__name__})"
    writer.close()
    return ""


def place(url: str) -> str:
    """Host and port of a URL, without a name and a password that may stand before them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _proxy() -> str:
    return os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy") or ""
