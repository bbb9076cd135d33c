"""Rate: requests and tokens a minute for each provider key, and what the provider itself says of its limits.

Pure functions over one row. In no 60 s are there more requests or tokens than the limit: the last minute is kept in
slices of `SLICE_SECONDS`, and a slice counts until all of it is a minute old. Tokens are reserved by estimate and
corrected when the call is over. The provider's own word goes first: Retry-After stops the key for everybody, and when
x-ratelimit-remaining-* does not suffice, x-ratelimit-reset-* is waited for.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

Row = dict[str, Any]

MINUTE = 60.0
SLICE_SECONDS = 2.0
LONGEST_PAUSE = 3600.0
"""What a provider may ask for; after that it is asked again."""

TIGHT = 0.25
"""The provider's count is followed when less than this share of its limit is left."""

HEADER_CHARACTERS = 40
KINDS = ("requests", "tokens")


@dataclass(frozen=True)
class Ask:
    """What one call needs, or several in a row."""

    requests: int = 1
    tokens: int = 0

    def __add__(self, other: "Ask") -> "Ask":
        return Ask(self.requests + other.requests, self.tokens + other.tokens)


@dataclass(frozen=True)
class Rate:
    """The limits of a key, per minute; None is off."""

    requests: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Turn:
    """When there is room, in seconds since the epoch, and what stands in the way until then."""

    at: float
    why: str = ""


def turn(row: Row | None, ask: Ask, now: float, rate: Rate) -> Turn:
    """The earliest time at which there is room for all of `ask`, as far as is known now."""
    turns = [Turn(now), *_told(row or {}, ask, now)]
    for number, limit in enumerate((rate.requests, rate.tokens)):
        if limit is not None:
            needed = ask.tokens if number else ask.requests
            at = _room(_slices(row, now), number + 1, needed, limit, now)
            turns.append(Turn(at, f"the limit of {limit:,} {KINDS[number]} a minute"))
    return max(turns, key=lambda one: one.at)


def taken(row: Row | None, ask: Ask, now: float) -> Row:
    """The row after a call has been let through."""
    slices = _slices(row, now)
    start = now - now % SLICE_SECONDS
    if not slices or slices[-1][0] < start:
        slices.append([start, 0, 0])
    slices[-1] = [slices[-1][0], slices[-1][1] + ask.requests, slices[-1][2] + ask.tokens]
    left = {
        kind: [max(0, count - (ask.tokens if kind == "tokens" else ask.requests)), until]
        for kind, (count, until) in _left(row, now).items()
    }
    return _row(slices, _pause(row, now), left, now)


def corrected(row: Row | None, was: Ask, at: float, now_used: Ask, now: float) -> Row:
    """The row after a call that was let through at `at` has turned out to use something else."""
    slices = _slices(row, now)
    start = at - at % SLICE_SECONDS
    for number, (begin, requests, tokens) in enumerate(slices):
        if begin == start:
            more = now_used.tokens - was.tokens
            slices[number] = [begin, max(0, requests + now_used.requests - was.requests), max(0, tokens + more)]
    return _row(slices, _pause(row, now), _left(row, now), now)


def told(row: Row | None, headers: Mapping[str, str], now: float, status: int = 200) -> Row | None:
    """The row after the provider has spoken; the same one when it said nothing that matters."""
    pause, left = _pause(row, now), _left(row, now)
    asked = seconds_of(headers.get("retry-after", ""), now) if status == 429 else None
    if asked is not None:
        pause = max(pause, now + min(asked, LONGEST_PAUSE))
    for kind in KINDS:
        count, reset = _said(headers, kind, now)
        if count is not None:
            known = left.get(kind, [count, now + reset])
            left[kind] = [min(known[0], count), known[1]]
    if pause == _pause(row, now) and left == _left(row, now):
        return row
    return _row(_slices(row, now), pause, left, now)


def speaks(row: Row | None, now: float) -> bool:
    """Whether something that the provider said is in force."""
    return bool(_pause(row, now) or _left(row, now))


def seconds_of(text: str, now: float) -> float | None:
    """Seconds from a header: "12", "6m0s", "17ms", seconds since the epoch, or a date; None when it says nothing."""
    text = text.strip()
    if len(text) > HEADER_CHARACTERS:
        return None
    if _DURATION.fullmatch(text):
        return sum(float(number) * _UNITS[unit] for number, unit in _PARTS.findall(text))
    try:
        if not text[:1].isdigit():
            return max(0.0, parsedate_to_datetime(text).timestamp() - now)
        seconds = float(text)
    except (ValueError, OverflowError):
        return None
    if seconds == float("inf"):
        return None
    return max(0.0, seconds - now if seconds > _EPOCHS else seconds)


_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|[dhms])")
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|[dhms]))+")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EPOCHS = 1e9


def _said(headers: Mapping[str, str], kind: str, now: float) -> tuple[int | None, float]:
    """What is left by the provider's own count, and for how long that holds; None: plenty, or nothing was said."""
    count = headers.get(f"x-ratelimit-remaining-{kind}", "").strip()
    reset = seconds_of(headers.get(f"x-ratelimit-reset-{kind}", ""), now)
    if not count.isdecimal() or not reset:
        return None, 0.0
    limit = headers.get(f"x-ratelimit-limit-{kind}", "").strip()
    if limit.isdecimal() and int(count[:15]) > TIGHT * int(limit[:15]):
        return None, 0.0
    return int(count[:15]), min(reset, LONGEST_PAUSE)


def _told(row: Row, ask: Ask, now: float) -> list[Turn]:
    """What the provider's own word stands for: its pause, and the end of what it has left."""
    turns = [Turn(_pause(row, now), "the provider asked to wait (Retry-After)")]
    for kind, (count, until) in _left(row, now).items():
        if (ask.tokens if kind == "tokens" else ask.requests) > count:
            turns.append(Turn(until, f"the provider has {count} {kind} left until its limit resets"))
    return turns


def _room(slices: list[list[Any]], column: int, needed: int, limit: int, now: float) -> float:
    """When `needed` more fit into the limit; what is more than a minute's worth takes further minutes."""
    minutes, needed = divmod(max(0, needed - 1), limit)
    needed += 1
    used = sum(entry[column] for entry in slices)
    at = now
    for entry in slices:
        if used + needed <= limit:
            break
        used -= entry[column]
        at = entry[0] + SLICE_SECONDS + MINUTE
    return at + minutes * (MINUTE + SLICE_SECONDS)


def _slices(row: Row | None, now: float) -> list[list[Any]]:
    """The slices that still count; those from a clock that ran ahead do not."""
    known = row["slices"] if row else []
    return [entry for entry in known if now - MINUTE - SLICE_SECONDS < entry[0] <= now]


def _pause(row: Row | None, now: float) -> float:
    until = float(row["pause"]) if row else 0.0
    return until if now < until <= now + LONGEST_PAUSE else 0.0


def _left(row: Row | None, now: float) -> dict[str, list[Any]]:
    known = row["left"] if row else {}
    return {kind: entry for kind, entry in known.items() if now < entry[1] <= now + LONGEST_PAUSE}


def _row(slices: list[list[Any]], pause: float, left: dict[str, list[Any]], now: float) -> Row:
    until = max([now + MINUTE + SLICE_SECONDS, pause, *(entry[1] for entry in left.values())])
    return {"slices": slices, "pause": pause, "left": left, "until": until}
