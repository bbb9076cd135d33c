"""Clean: text is checked before any agent sees it, and sanitized before anybody sees it (guide: G1, G2).

A hit on the way in is a signal, not proof: it ends a run only because the text is the user's own question, who can
rephrase it. Text that a source returns is `scan`ned by whoever reads it, marked, and treated as data.

Not covered here: what the rules do not name. Detection is no gate; see `docs/` for what holds without it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from guards.audit.record import record
from guards.errors import Refused
from guards.running.asking import agreed, identity
from guards.running.overwrite import in_place
from guards.scan.injection import orders as scan
from guards.scan.verdict import KINDS, Action
from guards.taint.agent import ours
from guards.text.patterns import redact
from guards.text.records import blank, read
from guards.text.sweep import Check, Wash, is_short
from state.guarded import Missing, Run

__all__ = ["INPUT", "OUTPUT", "Cleaning", "clean", "redact", "scan"]

log = logging.getLogger("interlock")

Update = dict[str, Any]
OnHit = Literal["refuse", "ask", "flag"]

INLINE: Final = 20_000
"""Characters that are cleaned on the event loop; more goes to a thread."""


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What `clean` does with the state keys it is given.

    Attributes:
        side: "input": strings are checked against the rules and trimmed; "output": they are redacted.
        on_hit: Input only, what a tripped rule does. "refuse": it ends the run as refused; "ask": the run waits for a
            person, who says yes or no; "flag": it is noted in `run.missing` as optional.
        on_suspicion: The same for what the learnt model alone finds, which is wrong now and then.
        longest: Characters a string may have. Input: more is refused. Output: the string is withheld.
        most: Values (strings, numbers, entries) under one key. Input: more is refused. Output: the rest is withheld.
        deepest: Levels of nesting. Input: more is refused. Output: what lies deeper is withheld.
        actions: Output only. What happens to which kind, any of "secret", "card", "iban", "ssn", "email", "phone",
            "ip": "redact", "mask" (all but the end), "hash" (the same value has the same name, in this process alone),
            "block" (the whole string is withheld), "keep". Of kinds that are not named, phone numbers and IP addresses
            stay and all others are redacted.
        at_once: Output only. Whether what a node writes under the key is cleaned before the first checkpoint holds it;
            agents that read the key then see it clean. None: unless it holds messages, whose tool calls would break.

    Raises:
        ValueError: An action or its kind is none of these, or they are given for an input.
    """

    side: Literal["input", "output"]
    on_hit: OnHit = "refuse"
    on_suspicion: OnHit = "flag"
    longest: int = 4_000
    most: int = 10_000
    deepest: int = 20
    actions: Mapping[str, Action] = field(default_factory=dict, hash=False)
    at_once: bool | None = None

    def __post_init__(self) -> None:
        wrong = [name for name, action in self.actions.items() if name not in KINDS or action not in get_args(Action)]
        if wrong or (self.actions and self.side == "input"):
            raise ValueError(
                f"Cleaning(actions={dict(self.actions)!r}): name kinds of {', '.join(KINDS)} and one of "
                f"{', '.join(get_args(Action))} for each, in an output cleaner"
            )

    def but(self, **changes: Any) -> "Cleaning":
        """This cleaning with something changed."""
        return replace(self, **changes)


INPUT: Final = Cleaning(side="input")
"""For the user's own words: at most 4,000 characters a string, refused on a hit."""

OUTPUT: Final = Cleaning(side="output", longest=1_000_000, most=100_000)
"""For what leaves: cards, e-mail addresses and secrets removed, what cannot be cleaned withheld."""


def clean(rule: Cleaning, *keys: str) -> Callable[..., Awaitable[Update]]:
    """A node that cleans some keys of the state, strings in nested lists, dicts and records included.

    An output cleaner runs also in an ending run, and what it cannot clean it withholds. A record with the fields
    `text`, `source_id`, `start` and `end` is a verbatim quote: it is dropped rather than changed, and listed in
    `run.missing`. Ids, paths and URLs keep e-mail addresses, so that they still lead somewhere.

    Args:
        rule: `INPUT`, `OUTPUT` or one of your own (`INPUT.but(longest=500)`).
        keys: State keys; a key that the state does not hold is passed over.

    Returns:
        An async node function; its update names only what changed.

    Raises:
        ValueError: No key was given.
    """
    if not keys:
        raise ValueError(f"clean({rule.side}): name the state keys to clean, for example clean(INPUT, 'question')")
    node: Callable[..., Awaitable[Update]] = (_input_node if rule.side == "input" else _output_node)(rule, keys)
    return node


def _input_node(rule: Cleaning, keys: tuple[str, ...]) -> Any:
    async def clean_input(state: Any) -> Update:
        update: Update = {}
        flags: list[Missing] = []
        for key in keys:
            check = Check(key, rule.longest, rule.most, rule.deepest)
            value = read(state, key)
            cleaned = await _run(check.value, value)
            flags += _judge(rule, key, check.hits, value)
            if cleaned is not value:
                update[key] = in_place(key, cleaned)
        return {**update, "run": Run(missing=tuple(flags))} if flags else update

    return _marked(clean_input, "input", keys)


def _judge(rule: Cleaning, key: str, hits: list[str], value: Any) -> list[Missing]:
    """What becomes of a hit: a rule names what it saw, the model alone is a suspicion."""
    if not hits:
        return []
    certain = [hit for hit in hits if "rule '" in hit]
    what, why = (rule.on_hit, certain[0]) if certain else (rule.on_suspicion, hits[0])
    text = value if isinstance(value, str) else None
    if what == "ask":
        denied = _person_says_no(key, hits, value)
        record("denied" if denied else "approved", "input", rules=hits, text=text, taint=["user"])
        if denied:
            raise Refused(f"a person refused the {key}, which looks like an injection ({why})")
    else:
        record("refused" if what == "refuse" else "flagged", "input", rules=hits, text=text, taint=["user"])
    if what == "refuse":
        raise Refused(f"the {key} looks like an injection ({why}); rephrase it without such words")
    return [Missing(what=key, status="ok", reason=f"looks like an injection ({why}); passed on as data", optional=True)]


def _person_says_no(key: str, hits: list[str], value: Any) -> bool:
    """Stop here until a person answers; only yes lets it pass, and only the very text that was asked about."""
    question = {"kind": "suspicious input", "key": key, "reasons": hits[:10]}
    return not agreed(question, identity("input", key, value))


def _output_node(rule: Cleaning, keys: tuple[str, ...]) -> Any:
    async def clean_output(state: Any) -> Update:
        update: Update = {}
        lost: list[Missing] = []
        for key in keys:
            value = read(state, key)
            cleaned, missing = await washed(rule, key, value)
            if cleaned is not value:
                update[key] = in_place(key, cleaned)
            lost += missing
        return {**update, "run": Run(missing=tuple(lost))} if lost else update

    node = _marked(clean_output, "output", keys)
    node.rule = rule
    node.closing = True
    node.withhold = lambda state: _withheld(state, keys)
    return node


async def washed(rule: Cleaning, key: str, value: Any) -> tuple[Any, list[Missing]]:
    """A value for a key as it may leave, and what had to be dropped; what was found goes on record."""
    wash = Wash(rule.longest, rule.most, rule.deepest, rule.actions)
    cleaned = await _washed(wash, key, value)
    if wash.kinds:
        record("redacted", "output", rules=sorted(wash.kinds))
    return cleaned, wash.lost


def _withheld(state: Any, keys: tuple[str, ...]) -> Update:
    """What the guard puts in place when this node itself is lost."""
    held = {key: read(state, key) for key in keys}
    return {key: in_place(key, blank(value)) for key, value in held.items() if value is not None}


async def _washed(wash: Wash, key: str, value: Any) -> Any:
    """The value clean, or blank: never as it was when cleaning it failed."""
    try:
        return await _run(lambda given: wash.top(key, given), value)
    except Exception as error:
        log.warning("value withheld", extra={"key": key, "error": type(error).__name__})
        wash.lost.append(Missing(what=key, status="refused", reason="withheld: it could not be cleaned"))
        return blank(value)


async def _run(work: Callable[[Any], Any], value: Any) -> Any:
    """Do it here when it is little, in a thread when the event loop would feel it."""
    if is_short(value, INLINE):
        return work(value)
    return await asyncio.to_thread(work, value)


def _marked(node: Any, side: str, keys: tuple[str, ...]) -> Any:
    """What `check` reads: which side the node cleans, and which keys, and what it may touch."""
    node = ours(node, *keys)
    node.cleans, node.keys = side, keys
    return node
