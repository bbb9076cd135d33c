"""Sweep: walk any value of a state, within a depth and a count, and clean the strings in it.

What a walk does not change comes back as the same object.
"""

import dataclasses
import enum
import pathlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final

from langgraph.types import Send
from pydantic import BaseModel

from guards.errors import Refused
from guards.scan.injection import scan_input
from guards.scan.registered import Finder, finder
from guards.scan.unseen import seen
from guards.scan.verdict import Action
from guards.text.patterns import none_holds, redact
from guards.text.records import HARMLESS, blank, fields, read, rebuilt
from state.guarded import Missing

IDS: Final = frozenset({"id", "trace_id", "source_id", "source_ids", "also", "path", "url", "place"})
"""Fields whose strings lead somewhere: they keep e-mail addresses."""

NONE: Final = frozenset[str]()
LEADING: Final = frozenset({"email"})
"""Kinds that stay in any text, and in what leads somewhere."""

TOO_MUCH: Final = "it holds too much or is nested too deep"

QUOTE: Final = frozenset({"text", "source_id", "start", "end"})
"""The fields of a verbatim quote, whose text is exact or absent."""

MOST_HIDDEN_IN: Final = 1_000_000
DEEPEST_HIDDEN_IN: Final = 50
"""Values, and levels of nesting, of one update in which secrets are looked for."""

REPEATED: Final = 300
"""Characters of a text that may well come again, like an id or a title."""

_PHRASES: Final = {
    "card": "a card number",
    "email": "an e-mail address",
    "secret": "a secret",
    "id": "the number of an account or of a person",
    "iban": "an account number",
    "ssn": "a social security number",
    "phone": "a phone number",
    "ip": "an IP address",
    "control": "control characters",
}


class _Sweep(ABC):
    """One walk over one value."""

    def __init__(self, longest: int, most: int, deepest: int) -> None:
        self.longest = longest
        self.left = most
        self.deepest = deepest

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The value with its strings cleaned; `name` is the field that it stands in."""
        self.left -= 1
        if self.left < 0 or depth > self.deepest:
            return self.beyond(value, name, TOO_MUCH)
        if isinstance(value, str) and not isinstance(value, enum.Enum):
            return self.text(value, name)
        if isinstance(value, HARMLESS):
            return self.number(value)
        if isinstance(value, (list, tuple, set, frozenset, Mapping)) and len(value) > self.left:
            return self.beyond(value, name, TOO_MUCH)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._items(value, name, depth)
        if isinstance(value, pathlib.PurePath):
            return self._path(value, name)
        if isinstance(value, (BaseModel, Mapping)) or dataclasses.is_dataclass(value):
            return self._record(value, depth)
        return self.beyond(value, name, f"it is of type {type(value).__name__}")

    def _items(self, value: Any, name: str, depth: int) -> Any:
        cleaned = [self.value(item, name, depth + 1) for item in value if self.stays(item)]
        if len(cleaned) == len(value) and all(new is old for new, old in zip(cleaned, value, strict=True)):
            return value
        return type(value)._make(cleaned) if hasattr(type(value), "_make") else type(value)(cleaned)

    def _path(self, value: pathlib.PurePath, name: str) -> Any:
        cleaned = self.text(str(value), name or "path")
        return value if cleaned == str(value) else type(value)(cleaned)

    def _record(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        held = fields(value)
        cleaned = {name: self.value(old, name, depth + 1) for name, old in held.items()}
        return rebuilt(value, {name: new for name, new in cleaned.items() if new is not held[name]})

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        cleaned = {
            self.value(key, "id", depth + 1): self.value(old, key if isinstance(key, str) else "", depth + 1)
            for key, old in value.items()
        }
        same = all(key in value and cleaned[key] is value[key] for key in cleaned) and len(cleaned) == len(value)
        return value if same else cleaned

    @abstractmethod
    def text(self, text: str, name: str) -> str:
        """What becomes of a string."""

    def number(self, value: Any) -> Any:
        return value

    def stays(self, item: Any) -> bool:
        return True

    @abstractmethod
    def beyond(self, value: Any, name: str, why: str) -> Any:
        """What becomes of a value that cannot be walked."""


class Check(_Sweep):
    """The way in: strings are trimmed and scanned.

    Args:
        key: The state key, for messages.
        longest: Characters a string may have.
        most: Values there may be.
        deepest: Levels of nesting there may be.

    Attributes:
        hits: Why what was found looks like orders: views and rules, or the model.
    """

    def __init__(self, key: str, longest: int, most: int, deepest: int) -> None:
        super().__init__(longest, most, deepest)
        self.key = key
        self.hits: list[str] = []

    def text(self, text: str, name: str) -> str:
        """The string trimmed; what it trips is noted.

        Raises:
            Refused: It is too long.
        """
        if len(text) > self.longest:
            raise Refused(
                f"the {self.key} has {len(text):,} characters, more than the {self.longest:,} allowed: shorten it"
            )
        trimmed = seen(text).strip()
        self.hits += scan_input(trimmed).reasons
        return text if trimmed == text else trimmed

    def beyond(self, value: Any, name: str, why: str) -> Any:
        """Nothing comes in unchecked.

        Raises:
            Refused: Always.
        """
        raise Refused(f"the {self.key} cannot be checked: {why}; send plain text")


class Wash(_Sweep):
    """The way out: strings are redacted, verbatim quotes that would change are dropped.

    Args:
        longest: Characters a string may have; a longer one is withheld.
        most: Values there may be; what comes after them is withheld.
        deepest: Levels of nesting there may be; what lies deeper is withheld.
        actions: What happens to which kind (`guards.scan.output`); of those that are not named, phone numbers and IP
            addresses stay and all others are removed.

    Attributes:
        lost: What was dropped or withheld, and why.
        kinds: What kinds of things were found.
    """

    def __init__(self, longest: int, most: int, deepest: int, actions: Mapping[str, Action] | None = None) -> None:
        super().__init__(longest, most, deepest)
        self.actions = actions or {}
        self.lost: list[Missing] = []
        self.kinds: set[str] = set()
        self._own = finder()
        self._known: dict[tuple[str, frozenset[str]], tuple[str, tuple[str, ...]]] = {}

    def top(self, key: str, value: Any) -> Any:
        """The value of a state key, clean; a record that lists what is missing lists the losses too."""
        if not self.actions and is_clean(value, self.longest, self.left, self.deepest):
            return value
        cleaned = self.value(value, key)
        listed = getattr(cleaned, "missing", None)
        if self.lost and isinstance(cleaned, BaseModel) and isinstance(listed, tuple):
            return cleaned.model_copy(update={"missing": tuple(dict.fromkeys((*listed, *self.lost)))})
        return cleaned

    def text(self, text: str, name: str) -> str:
        """The string redacted, or withheld when it is too long."""
        if len(text) > self.longest:
            return str(self.beyond(text, name, f"it has more than {self.longest:,} characters"))
        cleaned, kinds = self._redacted(text, self._kept(name))
        blocked = [kind for kind in kinds if self.actions.get(kind) == "block"]
        if blocked:
            return str(self.beyond(text, name, f"it holds {_phrase(blocked)}"))
        return text if cleaned == text else cleaned

    def number(self, value: Any) -> Any:
        """The number, unless its digits are those of a card."""
        if isinstance(value, int) and abs(value) >= 10**12 and self._changed(str(value), NONE)[1]:
            return 0
        return value

    def stays(self, item: Any) -> bool:
        """Whether an item of a list may stay: a verbatim quote only if nothing in its text must go."""
        return not _is_quote(item) or not self._tainted(item)

    def beyond(self, value: Any, name: str, why: str) -> Any:
        """What stands where a value could not be cleaned."""
        self._note(name or "value", f"withheld: {why}", optional=False)
        return blank(value)

    def _record(self, value: Any, depth: int) -> Any:
        if not _is_quote(value):
            return super()._record(value, depth)
        if self._tainted(value):
            return blank(value)
        text = read(value, "text")
        return rebuilt(super()._record(rebuilt(value, {"text": ""}), depth), {"text": text})

    def _tainted(self, quote: Any) -> bool:
        text = read(quote, "text")
        kinds = self._redacted(text, NONE)[1] if len(text) <= self.longest else ("too much",)
        if kinds:
            self._drop(str(read(quote, "source_id"))[:200], kinds)
        return bool(kinds)

    def _redacted(self, text: str, keep: frozenset[str]) -> tuple[str, tuple[str, ...]]:
        """The text changed, and what for; ids and titles come again and again."""
        if len(text) > REPEATED:
            found = self._changed(text, keep)
        else:
            found = self._known.get((text, keep)) or self._changed(text, keep)
            self._known[text, keep] = found
        self.kinds.update(found[1])
        return found

    def _changed(self, text: str, keep: frozenset[str]) -> tuple[str, tuple[str, ...]]:
        if not self.actions:
            return redact(text, keep, self._own)
        from guards.scan.output import treated

        return treated(text, {"phone": "keep", "ip": "keep", **self.actions, **dict.fromkeys(keep, "keep")})

    def _kept(self, name: str) -> frozenset[str]:
        return LEADING if name in IDS else NONE

    def _drop(self, source: str, kinds: Iterable[str]) -> None:
        named = redact(source, self._kept("id"), self._own)[0]
        self._note(f"quote from {named}", f"withheld: contains {_phrase(kinds)}", optional=True)

    def _note(self, what: str, reason: str, optional: bool) -> None:
        if len(self.lost) < 100:
            self.lost.append(Missing(what=what, status="refused", reason=reason, optional=optional))


def _phrase(kinds: Iterable[str]) -> str:
    return ", ".join(_PHRASES.get(kind, kind) for kind in kinds)


class Hide(_Sweep):
    """Inside: this process's own secrets are hidden, all else stays as it is, of whatever type and depth.

    Args:
        own: Looks for them.
    """

    def __init__(self, own: Finder) -> None:
        super().__init__(0, MOST_HIDDEN_IN, DEEPEST_HIDDEN_IN)
        self.own, self.most = own, MOST_HIDDEN_IN

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """The value without them; a payload for a node is looked into."""
        if isinstance(value, Send):
            shown = super().value(value.arg, name, depth)
            return value if shown is value.arg else Send(value.node, shown)
        return super().value(value, name, depth)

    def text(self, text: str, name: str) -> str:
        """The string without them, as long as it was."""
        return self.own.hide(text)

    def beyond(self, value: Any, name: str, why: str) -> Any:
        """What is no text of anybody's, or too much to look through."""
        return value


def is_clean(value: Any, longest: int, most: int, deepest: int) -> bool:
    """Whether a `Wash` of these limits would leave a value as it is; told without walking it where that is possible."""
    texts = list[str]()
    if not _gathered(value, texts, deepest) or len(texts) > most // 4 or max(map(len, texts), default=0) > longest:
        return False
    return none_holds(texts, finder())


def is_short(value: Any, characters: int) -> bool:
    """Whether all texts of a value together have no more characters than that; False where only a walk would know."""
    texts = list[str]()
    return _gathered(value, texts, DEEPEST_HIDDEN_IN) and sum(map(len, texts)) <= characters


def hidden(value: Any) -> Any:
    """A value without the secrets that this process knows; the same object when there are none in it."""
    own = finder()
    if not own.longest:
        return value
    texts = list[str]()
    if _gathered(value, texts, DEEPEST_HIDDEN_IN) and not own.finds("\0".join(texts)):
        return value  # one search over all of it: most values end here
    return Hide(own).value(value)


def _gathered(value: Any, texts: list[str], depth: int) -> bool:
    """All texts of a value, keys included; False where it holds something that only the walk itself knows."""
    parts = _parts(value)
    if depth == 0 or parts is None:
        return False
    known = True
    for one in parts:  # most parts are texts and numbers: no call for each of them
        if type(one) is str:
            texts.append(one)
        elif type(one) not in _PLAIN:
            known = known and _gathered(one, texts, depth - 1)
        elif type(one) is int and abs(one) >= 10**12:
            known = False  # it may be the number of a card
    return known


def _parts(value: Any) -> Iterable[Any] | None:
    """What a value is made of; None where that is not known for sure."""
    kind = type(value)
    if kind is dict:
        return (*value, *value.values())
    if kind is list or kind is tuple:
        return value  # type: ignore[no-any-return]
    if isinstance(value, BaseModel) and not value.__pydantic_extra__:
        return value.__dict__.values()
    return (value,) if kind in _PLAIN else None


_PLAIN: Final = frozenset((str, bool, int, float, type(None)))


def _is_quote(item: Any) -> bool:
    held = fields(item)
    return held.keys() >= QUOTE and isinstance(held["text"], str)
