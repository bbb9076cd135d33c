"""S8: where the fetcher goes. Names are resolved by the machine; one that it does not know leads nowhere."""

import asyncio
from collections.abc import Iterator

from bench.security.figure import Figure
from nodes.sources.fetch import judged

PRIVATE = (
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0177.0.0.1/",
    "http://0/",
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://169.254.169.254/",
    "http://[fd00:ec2::254]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://192.0.0.192/",
    "http://168.63.129.16/",
    "http://localhost/",
    "http://a.localhost/",
    "http://metadata.google.internal/",
    "http://127.0.0.1.nip.io/",
    "http://7f000001.nip.io/",
    "http://printer.local/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "http://user:word@example.com/",
    "http://①②⑦.⓪.⓪.①/",
)
PUBLIC = (
    "https://example.com/",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/",
    "http://example.com:8080/a?b=c",
    "https://sub.example.co.uk/x",
)


def measure() -> Iterator[Figure]:
    """Private targets that would be fetched, and public ones that would not."""
    private, public = asyncio.run(_judge())
    yield Figure("S8", f"private targets that would be fetched ({len(PRIVATE)} forms)", private, 0, unit="count")
    yield Figure("S8", f"public ones that are refused ({len(PUBLIC)})", public, 0, unit="count")


async def _judge() -> tuple[int, int]:
    private = [not (await judged(url)).flagged for url in PRIVATE]
    public = [(await judged(url)).flagged for url in PUBLIC]
    return sum(private), sum(public)
