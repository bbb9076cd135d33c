"""Words: does a call say only what the user said? A deterministic check against the user's own words.

A call whose every sink occurs in the user's words, or in the user's own records, does what the user asked for, whoever
wrote the rest of it. Identifiers in its other arguments (URLs, addresses, account and document numbers) count like
sinks: they are how a text that is otherwise harmless leads somewhere. Of a call without any sink every argument counts.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

LONGEST: Final = 20_000
"""Characters of words that are kept, and of one argument that is read."""

_IDENTIFIER: Final = re.compile(
    r"(?i)https?://\S{1,500}|www\.\S{1,500}|[\w.+-]{1,64}@[\w-]{1,63}\.[\w.]{1,100}|\b[a-z]{2}\d{2}[a-z0-9]{8,30}\b"
    r"|\b(?!\d{4}-\d\d-\d\d)\d(?:[ -]?\d){9,30}\b|\b[a-z]{1,3}\d{5,20}\b"
)
_ENDS: Final = ".,;:!?)]}>\"'"


def folded(text: str) -> str:
    """Lower case, white space folded."""
    return " ".join(text[:LONGEST].lower().split())


def strangers(arguments: Mapping[str, Any], sinks: tuple[str, ...], words: str) -> list[str]:
    """The arguments that say something which the words do not.

    Args:
        arguments: The call's.
        sinks: Those of them that say to whom, where or what.
        words: The user's own, `folded`.
    """
    given = {name: list(_values(value)) for name, value in arguments.items()}
    if not any(given.get(name) for name in sinks):
        return [name for name, values in given.items() if not _all_in(values, words)]
    return [
        name
        for name, values in given.items()
        if not _all_in(values if name in sinks else [one for value in values for one in _identifiers(value)], words)
    ]


def strange_sinks(arguments: Mapping[str, Any], sinks: tuple[str, ...], words: str) -> list[str]:
    """The same for sinks alone: of a call whose texts can carry no orders."""
    return [name for name in sinks if not _all_in(list(_values(arguments.get(name))), words)]


def _all_in(values: list[str], words: str) -> bool:
    return all(folded(value) in words for value in values)


def _identifiers(value: str) -> list[str]:
    return [found[0].rstrip(_ENDS) for found in _IDENTIFIER.finditer(value[:LONGEST])]


def _values(value: Any, depth: int = 0) -> Iterator[str]:
    if depth > 10:
        yield "nested too deep"
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _values(one, depth + 1)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for one in value:
            yield from _values(one, depth + 1)
    elif value is not None:
        text = str(value)
        yield text if len(text) <= LONGEST else text + " (too long to be the user's words)"
