"""The one way out for HTTP: slow, large, broken and lying servers cost one line, and no private address is reached."""

import asyncio
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from source_kit import Site, redirect, reply, site

from nodes.sources import fetch as fetching
from nodes.sources.collecting import Lost
from nodes.sources.fetch import JSON, PAGE_BYTES, REDIRECTS, Page, fetch, judged

HTML = b"<p>The tide clock"


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", "1")
    async with site() as running:
        yield running


async def refusal(url: str, **said: Any) -> str:
    with pytest.raises(Lost) as caught:
        await fetch(url, **said)
    assert "\n" not in str(caught.value)
    return f"{caught.value.status}: {caught.value}"


async def test_a_page_is_fetched_with_its_type_and_charset(server: Site) -> None:
    server.pages["/"] = reply(HTML, "text/html; charset=ISO-8859-1")
    assert await fetch(server.url) == Page(server.url, "text/html", "iso-8859-1", HTML)
    assert server.asked[0].startswith("GET / HTTP/1.1\r\nhost: 127.0.0.1")


# Servers that are slow, or break off.


async def hang(writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def reset(writer: asyncio.StreamWriter) -> None:
    writer.write(reply(b"x" * 100)[:-50])
    await writer.drain()
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.transport.abort()


async def nothing(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def noise(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")


async def endless_header(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000)


@pytest.mark.parametrize("page", [hang, drip])
async def test_the_time_is_for_the_whole_answer(server: Site, page: Any) -> None:
    server.pages["/"] = page
    assert await refusal(server.url, seconds=0.2) == "timed out: no whole answer within 0.2 s: try again later"


@pytest.mark.parametrize("page", [reset, nothing, noise, endless_header])
async def test_a_server_that_breaks_off_is_told(server: Site, page: Any) -> None:
    server.pages["/"] = page
    assert (await refusal(server.url)).startswith("failed: the server could not be reached, or broke off (")


async def test_a_port_where_nobody_listens_is_told(server: Site) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert "failed: the server could not be reached" in await refusal(f"http://127.0.0.1:{free.getsockname()[1]}")


@pytest.mark.parametrize(
    ("status", "cure"),
    [
        ("401 Unauthorized", "it needs a login"),
        ("403 Forbidden", "save the page as a file"),
        ("404 Not Found", "check the address"),
        ("429 Too Many Requests", "asked too often: try again later"),
        ("500 Oops", "try again later"),
        ("204 No Content", "check the address"),
    ],
)
async def test_an_error_status_is_told_with_the_cure(server: Site, status: str, cure: str) -> None:
    server.pages["/"] = reply(b"sorry", status=status)
    said = await refusal(server.url)
    assert said.startswith(f"failed: the server answered HTTP {status[:3]}: ") and cure in said


# Answers that are too large, or of another kind.


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x" * 100_000)
        await writer.drain()


async def declared(writer: asyncio.StreamWriter) -> None:
    writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {PAGE_BYTES + 1}\r\n\r\n".encode())
    await writer.drain()
    await asyncio.Event().wait()  # it is refused before a byte of it has come


BOMB = reply(gzip.compress(bytes(PAGE_BYTES + 1)), headers=["Content-Encoding: gzip"])


@pytest.mark.parametrize("page", [flood, declared, BOMB], ids=["flood", "declared", "bomb"])
async def test_what_is_too_large_is_refused(server: Site, page: Any) -> None:
    server.pages["/"] = page
    assert await refusal(server.url) == "refused: it is larger than 5 MB: save the part that matters as a file"


@pytest.mark.parametrize("packed", [gzip.compress(HTML), zlib.compress(HTML)], ids=["gzip", "deflate"])
async def test_a_compressed_body_is_unpacked(server: Site, packed: bytes) -> None:
    server.pages["/"] = reply(packed, headers=[f"Content-Encoding: {'gzip' if packed[0] == 31 else 'deflate'}"])
    assert (await fetch(server.url)).data == HTML


@pytest.mark.parametrize(
    ("body", "coding", "told"),
    [
        (b"no gzip", "gzip", "failed: its compressed body is damaged"),
        (gzip.compress(HTML)[:-9], "gzip", "failed: its compressed body ends too early"),
        (HTML, "br", "refused: its content encoding 'br' is not read"),
    ],
)
async def test_a_body_that_cannot_be_unpacked_is_told(server: Site, body: bytes, coding: str, told: str) -> None:
    server.pages["/"] = reply(body, headers=[f"Content-Encoding: {coding}"])
    assert (await refusal(server.url)).startswith(told)


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "", "text/html2", "application/json"])
async def test_content_of_another_type_is_refused(server: Site, kind: str) -> None:
    server.pages["/"] = reply(HTML, kind)
    assert f"refused: content of the type '{kind or 'none'}' is not read" in await refusal(server.url)


async def test_which_types_are_taken_is_the_callers_choice(server: Site) -> None:
    server.pages["/"] = reply(b"{}", "application/json;charset=utf-8")
    assert (await fetch(server.url, JSON)).data == b"{}"


# Redirects.


async def test_a_redirect_is_followed_and_the_last_url_is_told(server: Site) -> None:
    server.pages |= {"/": redirect("/b?c=d#e"), "/b": reply(HTML)}
    assert (await fetch(server.url)).url == f"{server.url}/b?c=d#e"
    assert server.paths() == ["/", "/b?c=d"]


async def test_a_redirect_in_a_circle_ends(server: Site) -> None:
    server.pages["/"] = redirect("/")
    assert "refused: more than 5 redirects" in await refusal(server.url)
    assert len(server.asked) == REDIRECTS + 1


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("http://10.0.0.1/admin", "refused: it leads to a private address"),
        ("http://169.254.169.254/latest/meta-data", "refused: it leads to a private address"),
        ("file:///etc/passwd", "refused: only http and https"),
        ("http://[", "refused: it is no URL"),
        ("//user:secret@example.org/", "refused: URLs with a name or password"),
        ("/" + "x" * 3_000, "refused: the URL is longer"),
    ],
)
async def test_every_redirect_is_checked_like_the_first_url(server: Site, to: str, told: str) -> None:
    server.pages["/"] = redirect(to)
    assert (await refusal(server.url)).startswith(told)


# Addresses. Nothing is asked: what is refused is refused before a connection.

LOOPBACK = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "017700000001", "localhost", "LOCALHOST",
    "127.255.255.254", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]",
    "[::127.0.0.1]", "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "１２７.0.0.1", "127。0。0。1",
]  # fmt: skip
PRIVATE = [
    "0.0.0.0", "0", "[::]", "10.0.0.1", "10.1", "167772161", "172.16.0.1", "192.168.1.1", "0xc0a80101", "100.64.0.1",
    "169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]", "[::ffff:10.0.0.1]", "[fd00:ec2::254]",
    "[fe80::1]", "[fc00::1]", "[64:ff9b::10.0.0.1]", "[64:ff9b:1::a00:1]", "[2002:a00:1::]", "[::10.0.0.1]",
    "[2001:db8::1]", "224.0.0.1", "255.255.255.255", "192.0.0.192", "198.18.0.1", "240.0.0.1", "[ff02::1]", "[4000::1]",
    "[2001:0:a00:1::f5ff:fffe]", "168.63.129.16",
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
async def test_this_machine_is_closed_in_every_spelling(host: str) -> None:
    said = await refusal(f"http://{host}:9/")
    assert said == "refused: it leads to this machine itself: INTERLOCK_ALLOW_LOOPBACK=1 opens that"


@pytest.mark.parametrize("host", PRIVATE)
async def test_private_addresses_are_closed_in_every_spelling_whatever_is_opened(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "1"):
        monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", value)
        assert (await refusal(f"https://{host}/")).startswith("refused: it leads to a private address")


@pytest.mark.parametrize("value", ["", "0", "true", "yes"])
async def test_only_a_one_opens_this_machine(server: Site, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_ALLOW_LOOPBACK", value)
    assert "this machine itself" in await refusal(server.url)
    assert server.asked == []


def resolves(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """A resolver of the test's own, that gives every name these addresses."""
    asked: list[str] = []

    def lookup(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if not addresses:
            raise socket.gaierror
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        pairs = zip(families, addresses, strict=True)
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in pairs]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


@pytest.mark.parametrize("name", ["metadata.google.internal", "intranet.example.com", "rebind.example.org"])
async def test_a_name_that_leads_to_a_private_address_is_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for addresses in (["169.254.169.254"], ["93.184.216.34", "10.0.0.1"], ["2606:2800:220:1::1", "fe80::1%eth0"]):
        resolves(monkeypatch, *addresses)
        assert (await refusal(f"http://{name}/")).startswith("refused: it leads to a private address")


async def test_an_unknown_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch)
    assert "the host name is unknown: check its spelling" in await refusal("http://nowhere.invalid/")


async def test_the_connection_goes_to_the_address_that_was_checked(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/"] = reply(HTML)
    asked = resolves(monkeypatch, "127.0.0.1")
    await fetch(f"http://Bücher.example:{server.port}/")
    assert asked == ["xn--bcher-kva.example"]  # once: it cannot be bound anew in between
    assert f"host: xn--bcher-kva.example:{server.port}" in server.asked[0]


async def test_the_next_address_is_tried_when_the_first_does_not_answer(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/"] = reply(HTML)
    resolves(monkeypatch, "127.0.0.2", "127.0.0.1")
    assert (await fetch(f"http://two.example:{server.port}/")).data == HTML


async def test_proxies_of_the_environment_are_not_used(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        server.pages["/"] = reply(HTML)
        await fetch(server.url)
        assert proxy.asked == []


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("", "only http and https"),
        ("example.org", "only http and https URLs are fetched: write https://host/path"),
        ("ftp://example.org/", "only http and https"),
        ("javascript:alert(1)", "only http and https"),
        ("http://", "only http and https"),
        ("http://[::1", "it is no URL: write https://host/path"),
        ("http://example.org:99999/", "it is no URL"),
        ("http://example.org:port/", "it is no URL"),
        ("http://" + "a" * 70 + ".org/", "it is no URL"),
        ("http://user@example.org/", "URLs with a name or password in them are not fetched"),
        ("http://:secret@example.org/", "URLs with a name or password in them"),
        ("http://example.org/" + "x" * 2_000, "the URL is longer than 2000 characters"),
    ],
)
async def test_a_bad_url_is_told_and_no_secret_with_it(url: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resolves(monkeypatch)
    said = await refusal(url)
    assert said.startswith(f"refused: {told}") and "secret" not in said


@pytest.mark.parametrize("path", ["/a b", "/ü", "/%zz", "/a\nb", "/a\x7fb", "/?q=ü#x"])
async def test_odd_paths_reach_the_server(server: Site, path: str) -> None:
    try:
        await fetch(f"{server.url}{path}")
    except Lost as error:
        assert str(error).startswith(("the server answered HTTP 404", "it is no URL"))  # noqa: PT017


async def test_a_url_with_a_secret_of_this_process_in_it_is_not_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR_API_KEY", "zq7Kd0-Xv93mPl_tR5")
    for spelled in ("zq7Kd0-Xv93mPl_tR5", "enE3S2QwLVh2OTNtUGxfdFI1", "7a71374b64302d587639336d506c5f745235"):
        with pytest.raises(Lost, match="a secret that this process knows"):
            await fetch(f"https://example.com/?key={spelled}")
        assert (await judged(f"https://example.com/?key={spelled}")).flagged


def test_the_limits_are_what_the_messages_say() -> None:
    assert (fetching.URL_CHARACTERS, PAGE_BYTES) == (2_000, 5_000_000)
