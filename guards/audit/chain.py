"""Chain: entries of the audit log as rows of the store, each with the keyed hash of the one before (pure functions).

A row `audit:head` names the last entry, under the same key: who cannot make hashes cannot cut the end off either, only
put back an older copy of everything; against that, keep heads elsewhere (`interlock audit verify --head`).
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from guards.stores import Decide, Row, Rows

HEAD: Final = "audit:head"
ENTRY: Final = "audit:entry:"
START: Final = "0" * 64
"""What stands before the first entry."""

Key = Callable[[], bytes]


@dataclass(frozen=True)
class Fault:
    """What is wrong with a log.

    Attributes:
        number: The entry at which it shows.
        what: In words for people.
    """

    number: int
    what: str


def key_of(number: int) -> str:
    """The row of an entry; rows stand in the order of their numbers."""
    return f"{ENTRY}{number:012d}"


def appending(facts: Mapping[str, Any], key: Key) -> Decide:
    """Add an entry behind the last one, whoever wrote that.

    Args:
        facts: What the entry says; plain JSON values.
        key: Gives the log's key; called in the store's thread, for it may be read from a file.
    """

    def decide(rows: Rows) -> Rows:
        head = rows[HEAD] or {"number": 0, "hash": START}
        number = int(head["number"]) + 1
        entry: Row = {**facts, "number": number, "before": head["hash"]}
        entry["hash"] = hash_of(entry, key())
        return {key_of(number): entry, HEAD: head_row(number, entry["hash"], key())}

    return decide


def head_row(number: int, entry_hash: str, key: bytes) -> Row:
    """What the row of the head holds."""
    return {"number": number, "hash": entry_hash, "seal": _keyed(f"head {number} {entry_hash}", key)}


def hash_of(entry: Mapping[str, Any], key: bytes) -> str:
    """The keyed hash of everything in an entry but its own hash."""
    told = {name: value for name, value in entry.items() if name != "hash"}
    return _keyed(json.dumps(told, sort_keys=True, separators=(",", ":")), key)


def hash_of_text(text: str, key: bytes) -> str:
    """A text's keyed hash: without the key nobody can try out which number or name it was."""
    return _keyed(text, key)[:32]


def faults(entries: Iterable[Row], head: Row | None, key: bytes, known: str = "") -> Iterator[Fault]:
    """What is wrong with a log, from its first entry to its head.

    Args:
        entries: All entries, in the order of their rows.
        head: The head's row.
        key: The log's key.
        known: The hash of an entry that must be in it, noted elsewhere.
    """
    before, expected, met = START, 1, not known
    for entry in entries:
        number = int(entry.get("number", 0))
        if number != expected:
            yield Fault(expected, _gap(expected, number))
        elif entry.get("before") != before:
            yield Fault(number, f"entry {number} does not follow the one before it: that one was changed or replaced")
        if not hmac.compare_digest(str(entry.get("hash")), hash_of(entry, key)):
            yield Fault(number, f"entry {number} was changed, or was written with another key")
        before, expected, met = str(entry.get("hash")), number + 1, met or entry.get("hash") == known
    yield from _at_the_end(before, expected - 1, head, key)
    if not met:
        yield Fault(expected, "the head that was noted elsewhere is not among the entries: an older log was put back")


def _gap(expected: int, number: int) -> str:
    if number < expected:
        return f"entry {number} stands where entry {expected} should: they were reordered"
    several = f"entries {expected} to {number - 1} are" if number - expected > 1 else f"entry {expected} is"
    return f"{several} missing"


def _at_the_end(last: str, number: int, head: Row | None, key: bytes) -> Iterator[Fault]:
    if head is None:
        if number:
            yield Fault(number + 1, "the head is missing: entries may have been cut off the end")
        return
    if head.get("seal") != head_row(int(head["number"]), str(head["hash"]), key)["seal"]:
        yield Fault(number + 1, "the head was changed, or was written with another key")
    elif int(head["number"]) > number:
        yield Fault(number + 1, _gap(number + 1, int(head["number"]) + 1))
    elif int(head["number"]) < number or head["hash"] != last:
        yield Fault(number, "the head does not name the last entry: entries were added or replaced by hand")


def _keyed(text: str, key: bytes) -> str:
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()
