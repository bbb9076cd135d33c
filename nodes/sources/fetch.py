"""Fetch: the one guarded way out for HTTP.

http and https only; the host is resolved here, a private, loopback, link-local or metadata address is refused, and the
connection goes to the very address that was checked, again at each redirect (so a name cannot be bound anew in
between). Time, size, redirects and content types are bounded. Loopback is opened by INTERLOCK_ALLOW_LOOPBACK=1 only.
"""

import asyncio
import os
import socket
import ssl
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from nodes.sources.collecting import Lost

if TYPE_CHECKING:
    import httpx2

PAGE_BYTES = 5_000_000
PAGE_SECONDS = 10.0
REDIRECTS = 5
URL_CHARACTERS = 2_000
AGENT = "interlock/0.1 (+research)"
TEXTS = ("text/html", "application/xhtml+xml", "text/plain", "text/markdown", "text/csv", "application/pdf")
JSON = ("application/json",)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Page:
    """What a server replied: the last URL, the content type, and the body."""

    url: str
    kind: str
    charset: str
    data: bytes


async def fetch(url: str, kinds: Sequence[str] = TEXTS, seconds: float = PAGE_SECONDS) -> Page:
    """Get one page.

    Args:
        url: http or https.
        kinds: Content types that are taken.
        seconds: Time for everything, redirects included.

    Raises:
        Lost: The URL is refused, or the server failed; the reason is one line.
    """
    import httpx2

    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, kinds)
    except TimeoutError:
        raise Lost(f"no whole answer within {seconds:.3g} s", "timed out") from None
    except httpx2.HTTPError as error:
        raise Lost(f"the server could not be reached ({type(error).__name__})") from None


def checked(url: str) -> tuple[str, str, int]:
    """The (scheme, host, port) of a URL that may be fetched.

    Raises:
        Lost: It is no http or https URL, or an overlong one.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Lost("it is no URL: write https://host/path", "refused") from None
    if len(url) > URL_CHARACTERS:
        raise Lost(f"the URL is longer than {URL_CHARACTERS} characters", "refused")
    if parts.scheme not in ("http", "https") or not host:
        raise Lost("only http and https URLs are fetched: write https://host/path", "refused")
    if parts.username or parts.password:
        raise Lost("URLs with a password in them are not fetched", "refused")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


async def address_of(host: str, port: int) -> str:
    """An address of the host that may be connected to; every address it has must be public.

    Raises:
        Lost: The name is unknown, or one of its addresses is private.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Lost("the host name is unknown: check its spelling") from None
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not _public(ip_address(address.partition("%")[0])):
            raise Lost("it leads to a private address (--allow-loopback opens this machine's own)", "refused")
    return addresses[0]


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if address in _NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(inner)
    if address.is_loopback:
        return os.environ.get("INTERLOCK_ALLOW_LOOPBACK") == "1"
    return address.is_global and not address.is_multicast


async def _follow(url: str, kinds: Sequence[str]) -> Page:
    """Follow redirects by hand: every hop is checked like the first."""
    import httpx2

    async with httpx2.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=None) as client:
        for _ in range(REDIRECTS + 1):
            reply = await _get(client, url, kinds)
            if isinstance(reply, Page):
                return reply
            url = reply
    raise Lost(f"more than {REDIRECTS} redirects", "refused")


async def _get(client: "httpx2.AsyncClient", url: str, kinds: Sequence[str]) -> "Page | str":
    """One hop: the page, or where it is redirected to."""
    scheme, host, port = checked(url)
    address = await address_of(host, port)
    parts = urlsplit(url)
    netloc = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    name = f"[{host}]" if ":" in host else host
    headers = {
        "host": name if port in (80, 443) else f"{name}:{port}",
        "user-agent": AGENT,
        "accept-encoding": "identity",
        "accept": ", ".join(kinds),
    }
    pinned = parts._replace(netloc=netloc, fragment="", path=parts.path or "/").geturl()
    async with client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as reply:
        if reply.status_code in _REDIRECTS and "location" in reply.headers:
            return urljoin(url, reply.headers["location"])
        if reply.status_code >= 400:
            raise Lost(f"the server answered HTTP {reply.status_code}")
        kind, _, rest = reply.headers.get("content-type", "").lower().partition(";")
        if kind.strip() not in kinds:
            raise Lost(f"its content type '{kind.strip()[:60] or 'none'}' is not read", "refused")
        charset = rest.partition("charset=")[2].partition(";")[0].strip(" \"'")
        return Page(url, kind.strip(), charset, await _body(reply))


async def _body(reply: "httpx2.Response") -> bytes:
    """The body, no larger than `PAGE_BYTES`, before and after unpacking."""
    data = bytearray()
    async for chunk in reply.aiter_raw():
        data += chunk
        if len(data) > PAGE_BYTES:
            raise Lost(f"it is larger than {PAGE_BYTES // 1_000_000} MB", "refused")
    coding = reply.headers.get("content-encoding", "identity").lower()
    if coding in ("", "identity"):
        return bytes(data)
    if coding not in ("gzip", "deflate"):
        raise Lost(f"its content encoding '{coding[:30]}' is not read", "refused")
    return _unpacked(bytes(data))


def _unpacked(data: bytes) -> bytes:
    try:
        text = zlib.decompressobj(47).decompress(data, PAGE_BYTES + 1)
    except zlib.error:
        raise Lost("its compressed body is damaged") from None
    if len(text) > PAGE_BYTES:
        raise Lost(f"unpacked it is larger than {PAGE_BYTES // 1_000_000} MB", "refused")
    return text


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a request."""
    return ssl.create_default_context()
