"""Corruption: how an output harms what agents remember together, by rules that anybody can check (guide: D3).

Pure, and linear in the text. Each rule would rather miss something than bar an agent for a harmless sentence.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from state.memory import Interaction

REPEATS: Final = 3
"""Equal outputs in a row that are no progress."""

FLOOD: Final = 10
"""Outputs of one agent that one addition may hold, or that may come in a row among other agents."""

CLAIM_WITHIN: Final = 500
"""Characters in which an agent says who it is."""

_WORD = re.compile(r"\w+")
_END = re.compile(r"[.!?](?=\s)|[;\n]")
_TITLE = r"(?:the|an?) ([^.,;:!?\n]{1,100})"
_CLAIM = re.compile(rf"\bi(?: am|['’]m) (?:now )?{_TITLE}")
_ROLE = re.compile(rf"\byou are {_TITLE}")
_SAYS = ("is", "are")
_OPEN = frozenset(("unknown", "unclear", "disputed", "missing", "open"))
"""Words that give no other value."""


def flooding(said: Iterable[Interaction]) -> set[str]:
    """Agents with more outputs in one addition than may be."""
    outputs = [one.agent for one in said if one.role == "output"]
    return {agent for agent in set(outputs) if outputs.count(agent) > FLOOD}


def crowds(said: Interaction, recent: Sequence[Interaction]) -> bool:
    """Whether an agent goes on after so many outputs of its own in a row, while others have something to say."""
    tail = 0
    for one in reversed(recent):
        if (one.agent, one.role) != (said.agent, "output"):
            break
        tail += 1
    return tail >= FLOOD and any(one.agent != said.agent for one in recent)


def repeats(said: Interaction, recent: Iterable[Interaction]) -> bool:
    """Whether an agent says the same again that its last outputs said; letters and digits count, case does not."""
    mine = [one.text for one in recent if one.agent == said.agent and one.role == "output"][1 - REPEATS :]
    return len(mine) == REPEATS - 1 and all(_folded(text) == _folded(said.text) for text in mine)


def claims_another_role(said: Interaction, roles: Iterable[Interaction]) -> bool:
    """Whether an agent says "I am the ..." of what another agent, and not itself, is called or was told to be."""
    claims = [f"{_folded(claim)} " for claim in _CLAIM.findall(said.text[:CLAIM_WITHIN].lower())]
    if not claims:
        return False
    own, others = {f"{_folded(said.agent)} "}, set[str]()
    for role in roles:
        (own if role.agent == said.agent else others).update(_titles(role))
    return any(claim.startswith(tuple(others)) and not claim.startswith(tuple(own)) for claim in claims)


def _titles(role: Interaction) -> Iterator[str]:
    """What an agent may call itself, each with a blank behind it."""
    told = _ROLE.findall(role.text[:CLAIM_WITHIN].lower())
    return (f"{name} " for name in map(_folded, (role.agent, *told)) if name)


def denies(text: str, facts: Iterable[tuple[str, str]]) -> bool:
    """Whether a text says "KEY is ..." of a fact and then another value of the fact's shape.

    Args:
        text: What an agent said.
        facts: Keys and values.
    """
    flat = f" {_folded(text)} "
    near = [fact for fact in facts if any(f" {_folded(fact[0])} {verb} " in flat for verb in _SAYS)]
    return any(
        _is_another(said, _WORD.findall(value))
        for sentence in (_END.split(text) if near else ())
        for key, value in near
        for said in _said_of(_words(key), _WORD.findall(sentence))
    )


def _said_of(key: Sequence[str], sentence: Sequence[str]) -> Iterator[Sequence[str]]:
    """What follows "KEY is" in a sentence."""
    lowered, size = [word.casefold() for word in sentence], len(key)
    for at in range(len(sentence) - size):
        if lowered[at : at + size] == key and lowered[at + size] in _SAYS:
            yield sentence[at + size + 1 :]


def _is_another(said: Sequence[str], value: Sequence[str]) -> bool:
    """Whether what is said is another value of the same shape.

    A value with numbers: the words in its place hold as many. A name: a name stands in its place. Other words: as many
    of them, to the sentence's end.
    """
    lowered, held = [word.casefold() for word in said], [word.casefold() for word in value]
    size = len(held)
    if not said or not value or lowered[: size + 1] == ["not", *held]:
        return bool(said and value)
    if f" {' '.join(held)} " in f" {' '.join(lowered)} " or lowered[0] in _OPEN:
        return False
    if numbers := _numbers(value):
        return _numbers(said[:size]) >= numbers
    if value[0][0].isupper():
        return said[0][0].isupper()
    return len(said) == size


def _numbers(words: Iterable[str]) -> int:
    return sum(any(map(str.isdecimal, word)) for word in words)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _folded(text: str) -> str:
    return " ".join(_words(text))
