"""Here: whether a request came from this machine, and was meant for it.

A server that nobody closed answers those alone. A web page on this machine's browser comes from here too, so the host's
name must be this machine's (else a page could point a name of its own here), and the page must be one that is allowed.
A proxy or a tunnel speaks from here for somebody else: its headers tell.
"""

import ipaddress
import json
import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

PASSED_ON: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "cf-connecting-ip", "via")


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def headers_of(scope: Mapping[str, Any]) -> dict[str, str]:
    """The headers, by name in small letters."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope.get("headers") or ()}


def from_here(scope: Mapping[str, Any]) -> bool:
    """Whether this machine calls itself."""
    headers, (peer, _) = headers_of(scope), scope.get("client") or ("", 0)
    host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    return is_loopback(peer) and is_loopback(host) and not any(name in headers for name in PASSED_ON)


def from_foreign_page(scope: Mapping[str, Any]) -> bool:
    """Whether a browser sends it for a page that is neither this server's nor on the list of allowed origins."""
    headers = headers_of(scope)
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc == headers.get("host", ""):
        return False
    return origin not in allowed_origins()


def allowed_origins() -> list[str]:
    """The origins of `http.cors.allow_origins` in langgraph.json, as its server hands them on."""
    try:
        cors = (json.loads(os.environ.get("LANGGRAPH_HTTP") or "{}") or {}).get("cors") or {}
    except ValueError:
        return []
    return [str(origin) for origin in cors.get("allow_origins") or ()]


def served_beyond() -> str:
    """The address that LangGraph's server says it is served at, if it is not this machine's own; else ""."""
    address = os.environ.get("LANGGRAPH_API_URL", "")
    host = urlsplit(address).hostname or ""
    return address if host and not is_loopback(host) else ""
