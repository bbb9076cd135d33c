"""Fetch: the one guarded way out for HTTP.

http and https only; the host is resolved here, a private, loopback, link-local or metadata address is refused, and the
connection goes to the very address that was checked, again at each redirect (so a name cannot be bound anew in
between). Time, size, redirects and content types are bounded. Loopback is opened by INTERLOCK_ALLOW_LOOPBACK=1 only.
"""

import asyncio
import os
import re
import socket
import ssl
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from guards.scan.registered import finder
from guards.scan.verdict import Verdict
from nodes.sources.collecting import Lost

if TYPE_CHECKING:
    import httpx2

PAGE_BYTES = 5_000_000
PAGE_SECONDS = 10.0
CONNECT_SECONDS = 3.0
ADDRESSES = 4
REDIRECTS = 5
URL_CHARACTERS = 2_000
AGENT = "interlock/0.1 (+research)"
TEXTS = ("text/html", "application/xhtml+xml", "text/plain", "text/markdown", "text/csv", "application/pdf")
JSON = ("application/json",)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CURES = {
    401: "it needs a login: save the page as a file",
    403: "it keeps programs out: save the page as a file",
    429: "it was asked too often: try again later",
}
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")
_SERVICES = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))
"""Where clouds answer their own machines, beside the link-local addresses."""

_UNICAST = IPv6Network("2000::/3")


_INSIDE = (".localhost", ".local", ".localdomain", ".internal", ".intranet", ".lan", ".home.arpa", ".corp", ".consul")
"""Ends of names that stand for hosts of a network of somebody's own (RFC 6761, 6762, 8375)."""

_EMBEDDED = re.compile(
    r"(?:^|[.-])(\d{1,3})[.-](\d{1,3})[.-](\d{1,3})[.-](\d{1,3})(?=[.-])|(?:^|[.-])([0-9a-f]{8})(?=\.)"
)
"""An address in a name, as services like nip.io take it."""


_NUMBER = re.compile(r"\d{1,12}|0x[0-9a-f]{1,8}")
"""An IPv4 address as one number, as the system's resolver takes it; what it leads to is checked like any other."""


class Unknown(Lost):
    """Nobody knows the host's name."""


@dataclass(frozen=True)
class Page:
    """What a server replied: the last URL, the content type, and the body."""

    url: str
    kind: str
    charset: str
    data: bytes


async def fetch(url: str, kinds: Sequence[str] = TEXTS, seconds: float = PAGE_SECONDS) -> Page:
    """Get one page. The environment's proxies are not used: they would connect to addresses that nobody checked.

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
            return await _follow(url.strip(), kinds)
    except TimeoutError:
        fair = True if seconds >= PAGE_SECONDS / 2 else None
        raise Lost(f"no whole answer within {seconds:.3g} s: try again later", "timed out", theirs=fair) from None
    except httpx2.HTTPError as error:
        raise Lost(_why(error), theirs=True) from None
    except (httpx2.InvalidURL, ValueError):
        raise _no_url() from None


async def judged(url: str) -> Verdict:
    """Whether a URL would be fetched, as far as can be told without asking its server.

    A name that nobody knows here is no reason against it: what it leads to is checked when it is known.
    """
    try:
        _, host, port = checked(url.strip())
        await addresses_of(host, port)
    except Unknown as error:
        return Verdict(False, (str(error),), (), url)
    except Lost as error:
        return Verdict(True, (str(error),), ((0, len(url), "url"),), "")
    return Verdict(False, (), (), url)


def checked(url: str) -> tuple[str, str, int]:
    """The (scheme, host, port) of a URL that may be fetched; the host in ASCII.

    Raises:
        Lost: It is no http or https URL, or an overlong one.
    """
    if len(url) > URL_CHARACTERS:
        raise Lost(f"the URL is longer than {URL_CHARACTERS} characters: shorten it", "refused")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:
        raise _no_url() from None
    if parts.scheme not in ("http", "https") or not host:
        raise Lost("only http and https URLs are fetched: write https://host/path", "refused")
    if _leads_inside(host):
        raise _private()
    if next(finder().spans(url), None):
        raise Lost("it holds a secret that this process knows: take it out", "refused")
    if parts.username is not None or parts.password is not None:
        raise Lost("URLs with a name or password in them are not fetched: take it out", "refused")
    return parts.scheme, host, port or (443 if parts.scheme == "https" else 80)


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of the host, at most `ADDRESSES`; every one that it has must be public.

    Raises:
        Lost: The name is unknown, or one of its addresses is private.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unknown("the host name is unknown: check its spelling, and the network") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:
        _check(ip_address(address.partition("%")[0]))
    return addresses[:ADDRESSES]


def _leads_inside(host: str) -> bool:
    """Whether a name stands for a private host by its form, whatever it resolves to."""
    name = host.rstrip(".").lower()
    if name == "localhost":
        return False  # it resolves, and what it resolves to is judged
    if name.endswith(_INSIDE):
        return True
    try:
        ip_address(name)
    except ValueError:
        return ("." not in name and not _NUMBER.fullmatch(name)) or any(
            not _public(address) for address in _embedded(name)
        )
    return False


def _embedded(name: str) -> Iterator[IPv4Address]:
    for found in _EMBEDDED.finditer(name):
        parts = found.groups()[:4]
        if found[5]:
            yield IPv4Address(int(found[5], 16))
        elif all(int(part) < 256 for part in parts):
            yield IPv4Address(".".join(str(int(part)) for part in parts))


def _check(address: IPv4Address | IPv6Address) -> None:
    """Refuse an address that is not open to everybody."""
    inner = _inner(address)
    if inner.is_loopback:
        if os.environ.get("INTERLOCK_ALLOW_LOOPBACK") != "1":
            raise Lost("it leads to this machine itself: INTERLOCK_ALLOW_LOOPBACK=1 opens that", "refused")
    elif not _public(inner):
        raise _private()


def _public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        return address.is_global and address in _UNICAST
    return address.is_global and not address.is_multicast and not any(address in closed for closed in _SERVICES)


def _inner(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, if it does; also of the deprecated kinds."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address


async def _follow(url: str, kinds: Sequence[str]) -> Page:
    """Follow redirects by hand: every hop is checked like the first."""
    import httpx2

    timeout = httpx2.Timeout(None, connect=CONNECT_SECONDS)
    async with httpx2.AsyncClient(verify=_tls(), trust_env=False, follow_redirects=False, timeout=timeout) as client:
        for _ in range(REDIRECTS + 1):
            reply = await _hop(client, url, kinds)
            if isinstance(reply, Page):
                return reply
            url = reply
    raise Lost(f"more than {REDIRECTS} redirects: name the page that they lead to", "refused")


async def _hop(client: "httpx2.AsyncClient", url: str, kinds: Sequence[str]) -> "Page | str":
    """One hop, to the first address that answers: the page, or where it is redirected to."""
    import httpx2

    _, host, port = checked(url)
    *others, last = await addresses_of(host, port)
    for address in others:
        try:
            return await _get(client, url, address, kinds)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            continue
    return await _get(client, url, last, kinds)


async def _get(client: "httpx2.AsyncClient", url: str, address: str, kinds: Sequence[str]) -> "Page | str":
    scheme, host, port = checked(url)
    parts = urlsplit(url)
    pinned = parts._replace(netloc=_netloc(address, port), fragment="", path=parts.path or "/").geturl()
    headers = {
        "host": _netloc(host, None if port == (443 if scheme == "https" else 80) else port),
        "user-agent": AGENT,
        "accept-encoding": "identity",
        "accept": ", ".join(kinds),
    }
    async with client.stream("GET", pinned, headers=headers, extensions={"sni_hostname": host}) as reply:
        if reply.status_code in _REDIRECTS and "location" in reply.headers:
            return urljoin(url, reply.headers["location"])
        return await _page(reply, url, kinds)


def _netloc(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


async def _page(reply: "httpx2.Response", url: str, kinds: Sequence[str]) -> Page:
    if reply.status_code != 200:
        cure = _CURES.get(reply.status_code, "try again later" if reply.status_code >= 500 else "check the address")
        down = reply.status_code >= 500
        raise Lost(f"the server answered HTTP {reply.status_code}: {cure}", theirs=down)
    kind, _, rest = reply.headers.get("content-type", "").lower().partition(";")
    if kind.strip() not in kinds:
        raise Lost(f"content of the type '{kind.strip()[:60] or 'none'}' is not read: name another page", "refused")
    charset = rest.partition("charset=")[2].partition(";")[0].strip(" \"'")
    return Page(url, kind.strip(), charset, await _body(reply))


async def _body(reply: "httpx2.Response") -> bytes:
    """The body, no larger than `PAGE_BYTES`, before and after unpacking."""
    declared = reply.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > PAGE_BYTES:
        raise _too_large()
    data = bytearray()
    async for chunk in reply.aiter_raw():
        data += chunk
        if len(data) > PAGE_BYTES:
            raise _too_large()
    coding = reply.headers.get("content-encoding", "identity").strip().lower()
    if coding in ("", "identity"):
        return bytes(data)
    if coding not in ("gzip", "deflate"):
        raise Lost(f"its content encoding '{coding[:30]}' is not read: save the page as a file", "refused")
    return _unpacked(bytes(data))


def _unpacked(data: bytes) -> bytes:
    unpacking = zlib.decompressobj(47)
    try:
        text = unpacking.decompress(data, PAGE_BYTES + 1)
    except zlib.error:
        raise Lost("its compressed body is damaged: try again later") from None
    if len(text) > PAGE_BYTES:
        raise _too_large()
    if not unpacking.eof:
        raise Lost("its compressed body ends too early: try again later")
    return text


def _too_large() -> Lost:
    return Lost(f"it is larger than {PAGE_BYTES // 1_000_000} MB: save the part that matters as a file", "refused")


def _private() -> Lost:
    return Lost("it leads to a private address: name a public one, or save the page as a file", "refused")


def _no_url() -> Lost:
    return Lost("it is no URL: write https://host/path", "refused")


def _why(error: Exception) -> str:
    if "CERTIFICATE" in str(error):
        return "its certificate is not trusted: check the address"
    return f"the server could not be reached, or broke off ({type(error).__name__}): check the address, try again later"


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a request."""
    return ssl.create_default_context()
