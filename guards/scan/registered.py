"""Registered: secrets that this process knows, found in whatever form they try to leave (guide: G2, L3).

Known are the values of environment variables whose names say so, the lines of the files that INTERLOCK_SECRET_FILES
names (as in PATH; read once), and what `register` was told. Each is looked for in all its `forms` at once with
Aho-Corasick, so the work is linear in the text and does not grow with their number.
Not covered: a secret cut into pieces with other text between them, or encrypted.
"""

import base64
import html
import json
import logging
import os
import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final
from urllib.parse import quote

from guards.scan.verdict import Span

NAMES: Final = re.compile(
    r"(?i)(?:^|_)(?:key|token|secret|password|passwd|pwd|credential|credentials|dsn|apikey)(?:$|_)"
)
LENGTHS: Final = range(8, 10_001)
"""Shorter values would hit prose."""

MOST: Final = 1_000
FILE_CHARACTERS: Final = 1_000_000
REMOVED: Final = "[secret removed]"
FILL: Final = "\u2588"
"""Stands for a character that is hidden; no markup gives it a meaning."""

log = logging.getLogger("interlock")
_lock = threading.Lock()
_told: set[str] = set()
_built: tuple[Mapping[Any, Any], int, "Finder"] | None = None


def register(*secrets: str) -> None:
    """Tell this process secrets that must not leave it: keys read from files, say.

    Args:
        secrets: At least 8 characters each.

    Raises:
        ValueError: One is too short or too long, or there are more than `MOST`.
    """
    with _lock:
        for secret in secrets:
            if len(secret) not in LENGTHS:
                raise ValueError(f"a secret of {len(secret)} characters cannot be looked for: 8 to 10,000 are possible")
            if len(_told) >= MOST:
                raise ValueError(f"more than {MOST} secrets are registered: register what this process really holds")
            _told.add(secret)


def known() -> frozenset[str]:
    """The secrets of this process; a variable that leads to a file or a folder holds none."""
    named = (value for name, value in list(os.environ.items()) if NAMES.search(name) and not _is_path(value))
    return frozenset(value for value in (*named, *_in_files(), *_told) if len(value) in LENGTHS)


def _in_files() -> Iterator[str]:
    """The lines of the files that hold keys."""
    for place in _files():
        with suppress(OSError), open(place, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            yield from map(str.strip, islice(file.read(FILE_CHARACTERS).splitlines(), MOST))


def _files() -> list[str]:
    return [place for place in os.environ.get("INTERLOCK_SECRET_FILES", "").split(os.pathsep) if place]


def _is_path(value: str) -> bool:
    return os.path.isabs(value) and os.path.exists(value)  # noqa: PTH110, PTH117 - nothing a path can do fails here


def finder() -> "Finder":
    """Looks for the secrets that are known now; asked for each text, so it looks at names when something changed."""
    global _built
    built, variables, told = _built, _variables(), len(_told)
    if built is None or built[0] != variables or built[1] != told:
        built = _built = dict(variables), told, Finder(known())
        if not all(os.access(place, os.R_OK) for place in _files()):
            log.error("a file of INTERLOCK_SECRET_FILES cannot be read: its secrets are not looked for")
    return built[2]


def _variables() -> Mapping[Any, Any]:
    """The environment as it is stored: to decode it takes longer than most searches."""
    return getattr(os.environ, "_data", None) or dict(os.environ)


def forms(secret: str) -> dict[str, str]:
    """The spellings of a secret that are looked for, by name."""
    data = secret.encode()
    spelled: dict[str, Callable[[], str]] = {
        "plain": lambda: secret,
        "base64": lambda: _inner(data, 0),
        "base64, one byte on": lambda: _inner(data, 1),
        "base64, two bytes on": lambda: _inner(data, 2),
        "base64 for URLs": lambda: _inner(data, 0).replace("+", "-").replace("/", "_"),
        "hex": data.hex,
        "percent": lambda: quote(secret, safe=""),
        "every byte percent": lambda: "".join(f"%{byte:02x}" for byte in data),
        "JSON": lambda: json.dumps(secret)[1:-1],
        "HTML": lambda: html.escape(secret),
        "escapes": lambda: "".join(f"\\u{ord(c):04x}" for c in secret),
        "reversed": lambda: secret[::-1],
        "rot13": lambda: secret.translate(_ROT13),
        "hex in pairs": lambda: data.hex(" "),
        "hex escapes": lambda: "".join(f"\\x{byte:02x}" for byte in data),
        "character references": lambda: "".join(f"&#{ord(c)};" for c in secret),
        "decimal": lambda: " ".join(map(str, data)),
        "base32": lambda: base64.b32encode(data).decode().rstrip("="),
    }
    return {name: made() for name, made in spelled.items()}


def _inner(data: bytes, offset: int) -> str:
    """The characters of a base64 text that depend on these bytes alone, wherever they stand in it."""
    coded = base64.b64encode(b"\0" * offset + data).decode().rstrip("=")
    first = (offset * 8 + 5) // 6
    last = (offset + len(data)) * 8 // 6
    return coded[first:last]


_LOWER: Final = "abcdefghijklmnopqrstuvwxyz"
_ROT13: Final = str.maketrans(_LOWER + _LOWER.upper(), _LOWER[13:] + _LOWER[:13] + (_LOWER[13:] + _LOWER[:13]).upper())
_APART: Final = " \t\r\n-_.,:;|/*\u00a0\u00ad\u200b\u200c\u200d\u2060\ufeff"


class Finder:
    """Looks for some secrets.

    Args:
        secrets: What to look for.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {spelling.lower(): name for one in secrets for name, spelling in reversed(forms(one).items())}
        self.names = list(spelled.values())
        self._spellings, self._spellings_apart = sorted(spelled), list[str]()
        self.longest = 2 * max(map(len, spelled), default=0)
        self._search: Any = None
        self._packed: Any = None
        if spelled:
            from ahocorasick_rs import AhoCorasick, Implementation, MatchKind

            self._search = AhoCorasick(
                list(spelled), matchkind=MatchKind.LeftmostLongest, implementation=Implementation.ContiguousNFA
            )
            bare = {
                packed: "letters apart"
                for one in secrets
                if len(packed := one.lower().translate(_DROPPED)) >= LENGTHS.start
            }
            self._spellings_apart = sorted(bare)
            self._packed = AhoCorasick(list(bare), matchkind=MatchKind.LeftmostLongest) if bare else None

    def spans(self, text: str) -> Iterator[Span]:
        """Where a secret stands, whatever its case and whatever holds its characters apart."""
        if self._search is None:
            return
        lower = _lowered(text)
        whole = [(start, end, number) for number, start, end in self._search.find_matches_as_indexes(lower)]
        yield from ((start, end, f"registered secret ({self.names[number]})") for start, end, number in whole)
        apart = list(self._apart(lower))
        yield from (one for one in apart if not any(one[0] < end and start < one[1] for start, end, _ in whole))

    def _apart(self, lower: str) -> Iterator[Span]:
        if self._packed is None:
            return
        bare = _bare(lower)
        found = self._packed.find_matches_as_indexes(bare) if len(bare) < len(lower) else []
        places = [at for at, c in enumerate(lower) if c not in _SET] if found else []
        for _, start, end in found:
            first, last = places[start], places[end - 1] + 1
            if last - first > end - start:
                yield first, last, "registered secret (letters apart)"

    def finds(self, text: str) -> bool:
        """Whether one of them is in a text; two searches, however long it is."""
        if self._search is None:
            return False
        lower = _lowered(text)
        if self._search.find_matches_as_indexes(lower):
            return True
        return self._packed is not None and bool(self._packed.find_matches_as_indexes(_bare(lower)))

    def redact(self, text: str) -> str:
        """The text without them."""
        return without(text, [(start, end) for start, end, _ in self.spans(text)], REMOVED)

    def hide(self, text: str) -> str:
        """The text without them and as long as it was, so that places in it stay true; the same when it has none."""
        for start, end, _ in self.spans(text):
            text = f"{text[:start]}{as_long(REMOVED, end - start)}{text[end:]}"
        return text

    def begins_at(self, text: str) -> int:
        """Where the longest ending of a text begins that may be the beginning of a secret; its length if none does."""
        tail = _lowered(text[-self.longest :]) if self.longest else ""
        held, apart = _beginning(tail, self._spellings), _beginning(_bare(tail), self._spellings_apart)
        while len(_bare(tail[len(tail) - held :])) < apart:
            held += 1
        return len(text) - held


def _beginning(text: str, spellings: list[str]) -> int:
    """How many characters at the end of a text some spelling begins with, but does not end with."""
    longest = max(map(len, spellings), default=1) - 1
    for size in range(min(len(text), longest), 0, -1):
        ending = text[-size:]
        place = bisect_right(spellings, ending)  # behind the ending itself
        if place < len(spellings) and spellings[place].startswith(ending):
            return size
    return 0


def _lowered(text: str) -> str:
    """In lower case, as long as it was."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower()[:1] or c for c in text)


def _bare(text: str) -> str:
    """The text without what may hold characters apart; `translate` is fast for ASCII alone."""
    if text.isascii():
        return text.translate(_DROPPED)
    for c in _APART:
        if c in text:
            text = text.replace(c, "")
    return text


_SET: Final = frozenset(_APART)
_DROPPED: Final = dict.fromkeys(map(ord, _APART))


def as_long(mark: str, length: int) -> str:
    """A mark of this length; blocks where it is too long for that."""
    return mark.ljust(length, FILL) if len(mark) <= length else FILL * length


def without(text: str, spans: Iterable[tuple[int, int]], mark: str) -> str:
    """The text with a mark in the place of each span; those that overlap are one."""
    kept, done = list[str](), 0
    for start, end in sorted(spans):
        if start >= done:
            kept += [text[done:start], mark]
        done = max(done, end)
    return "".join([*kept, text[done:]])
