"""S7: the worst inputs: 1 MB that drives matchers mad, and twice as much."""

import time
from collections.abc import Callable, Iterator

from bench.security.figure import Figure
from guards.scan.injection import scan_input
from guards.scan.output import scan_output

SIZE = 1_000_000
LIMIT, GROWTH = 2.0, 2.5
PIECES = (
    "a",
    "a ",
    "@",
    "a@",
    "a@a.",
    ".",
    "1",
    "1 ",
    "1-",
    "4111 ",
    "4",
    "(",
    "[",
    "[[",
    "![",
    "[a](",
    "<",
    "<a ",
    "<!--",
    "<script>",
    "&#",
    "&lt;",
    "%41",
    "\\u0041",
    "QUJD",
    "aGVsbG8g",
    "ignore ",
    "ignore previous ",
    "system ",
    "=",
    "key=",
    "key: 'a",
    "password",
    "://a:",
    "sk-",
    "eyJ",
    "-----BEGIN ",
    "`",
    "``` ",
    "*",
    "_a",
    "> ",
    "- ",
    "\n",
    "\t",
    " ",
    "\u200b",
    "\u0301",
    "\u202e",
    "\U000e0041",
    "é",
    "中",
    "𝕀",
    "0x41 ",
    "01000001 ",
    ".- ",
    "::",
    "1.1.1.",
    "GB82WEST",
    "+1",
    '"',
    "'",
    "{",
    "\x1b[",
    "data:",
    "javascript:",
    "i-g-n-",
    "w o r d ",
)


def measure() -> Iterator[Figure]:
    """The slowest input of each scanner, and how it grows."""
    scanners: dict[str, Callable[[str], object]] = {"input": scan_input, "output": scan_output}
    for name, scan in scanners.items():
        scan("warm up")
        took = {piece: _seconds(scan, (piece * (SIZE // len(piece) + 1))[:SIZE]) for piece in PIECES}
        slowest = max(took, key=took.__getitem__)
        half = min(_seconds(scan, (slowest * SIZE)[: SIZE // 2]) for _ in range(2))
        yield Figure(
            "S7",
            f"{name} scanner, slowest of {len(PIECES)} texts of 1 MB ({slowest!r})",
            took[slowest],
            LIMIT,
            unit="seconds",
        )
        yield Figure("S7", f"{name} scanner, twice that text", took[slowest] / max(half, 0.01), GROWTH, unit="ratio")


def _seconds(scan: Callable[[str], object], text: str) -> float:
    began = time.perf_counter()
    scan(text)
    return time.perf_counter() - began
