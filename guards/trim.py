"""Trim: a list of messages stays short, whatever was said (guide: D1, hard limit of 20 interactions).

What counts: messages, without the system's. At the limit the oldest go; a tool's answers go with the call they answer.
Not covered: tokens. A character is at most about one token, so `keep * longest` bounds them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from state.memory import RECENT_KEPT, shorten

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage, BaseMessage

LONGEST: Final = 20_000
"""Characters of one message."""

SYSTEM_KEPT: Final = 20
"""System messages that are kept, the oldest: an agent's instructions come first."""


def trim(messages: Iterable[Any], keep: int = RECENT_KEPT, longest: int = LONGEST) -> "list[AnyMessage]":
    """The most recent messages, at most `keep`, besides the system's, which stay (guide: A6).

    A list with a message in it never becomes empty. Calls and their answers stay together; of a message with more
    calls than fit, the last ones stay. Answers without their call are left out.

    Args:
        messages: LangChain messages, or what LangChain takes for them; none of them is changed.
        keep: Messages to keep, at least 1.
        longest: Characters of one message, its calls included; the middle of longer texts is left out.

    Raises:
        ValueError: `keep` is less than 1.
    """
    from langchain_core.messages import convert_to_messages

    if keep < 1:
        raise ValueError(f"trim(keep={keep}): keep at least 1 message")
    given = convert_to_messages(list(messages))
    kept = {**_system(given), **_recent(given, keep)}
    return [_cut(kept[place], longest) for place in sorted(kept)]


@cache
def recent(keep: int = RECENT_KEPT, longest: int = LONGEST) -> "Callable[[Any, Any], list[AnyMessage]]":
    """A reducer for messages that cannot grow past its limit: `Annotated[list[AnyMessage], recent(20)]`.

    Messages are added and replaced by id as `add_messages` does it; removing a message that is gone already is no
    error, since two branches may both trim.

    Args:
        keep: See `trim`; the same numbers give the same reducer.
        longest: See `trim`.

    Raises:
        ValueError: `keep` is less than 1.
    """
    if keep < 1:
        raise ValueError(f"recent({keep}): keep at least 1 message")

    def add_and_trim(messages: Any, new: Any) -> "list[AnyMessage]":
        """The messages with the new ones, within the limit."""
        from langgraph.graph.message import add_messages

        known, given = _messages(messages), _messages(new)
        return trim(add_messages(known, _without_stale(known, given)), keep, longest)  # type: ignore[arg-type]

    return add_and_trim


def _messages(given: Any) -> "list[BaseMessage]":
    from langchain_core.messages import convert_to_messages

    return convert_to_messages(given if isinstance(given, list) else [given])


def _without_stale(known: "Sequence[BaseMessage]", given: "Sequence[BaseMessage]") -> "list[BaseMessage]":
    """The update without removals of messages that do not exist."""
    from langgraph.graph.message import REMOVE_ALL_MESSAGES

    ids, useful = {REMOVE_ALL_MESSAGES, *(message.id for message in known)}, []
    for message in given:
        if message.type != "remove" or message.id in ids:
            useful.append(message)
        ids.add(message.id)
    return useful


def _system(messages: "Sequence[BaseMessage]") -> "dict[int, BaseMessage]":
    found = {place: message for place, message in enumerate(messages) if message.type == "system"}
    return dict(list(found.items())[:SYSTEM_KEPT])


Group = "dict[int, BaseMessage]"


def _recent(messages: "Sequence[BaseMessage]", keep: int) -> "dict[int, BaseMessage]":
    """The newest groups that fit, by place; the newest one is made to fit."""
    groups = list(_groups(messages))
    kept: dict[int, BaseMessage] = {}
    for group in reversed(groups):
        if kept and len(kept) + len(group) > keep:
            break
        kept.update(group if len(group) <= keep else _last_calls(group, keep))
    return kept


def _groups(messages: "Sequence[BaseMessage]") -> "Iterator[dict[int, BaseMessage]]":
    """Messages by place, a call in one group with its answers; answers without a call only if there is nothing else."""
    groups: list[dict[int, BaseMessage]] = []
    calls: dict[str, dict[int, BaseMessage]] = {}
    orphans: dict[int, BaseMessage] = {}
    for place, message in enumerate(messages):
        if message.type == "tool":
            calls.get(_answered(message), orphans)[place] = message
        elif message.type not in ("system", "remove"):
            groups.append({place: message})
            calls.update(dict.fromkeys(_calls(message), groups[-1]))
    return iter(groups or [{place: message} for place, message in orphans.items()])


def _calls(message: "BaseMessage") -> list[str]:
    made = [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]
    return [call["id"] for call in made if call.get("id")]


def _answered(message: "BaseMessage") -> str:
    return str(getattr(message, "tool_call_id", ""))


def _last_calls(group: "dict[int, BaseMessage]", keep: int) -> "dict[int, BaseMessage]":
    """A call with more answers than fit: the last answers, and the message with only those calls."""
    (first, message), *answers = group.items()
    last = dict(answers[len(answers) - keep + 1 :])
    left = {_answered(answer) for answer in last.values()}
    only = [call for call in getattr(message, "tool_calls", ()) if call.get("id") in left]
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    changes = {"tool_calls": only, "invalid_tool_calls": [], "additional_kwargs": extra}
    return {first: message.model_copy(update=changes), **last}


def _cut(message: "BaseMessage", longest: int) -> Any:
    """The message within its characters; a copy if it was longer."""
    parts = {
        name: getattr(message, name)
        for name in ("content", "tool_calls", "additional_kwargs", "artifact")
        if hasattr(message, name)
    }
    size, texts = _size(parts)
    if size <= longest:
        return message
    return message.model_copy(update=_shortened(parts, max(1, longest // texts)))


def _size(value: Any) -> tuple[int, int]:
    """Characters in all strings of a value, and how many strings there are."""
    if isinstance(value, str):
        return len(value), 1
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    sizes = [_size(one) for one in inner]
    return sum(size for size, _ in sizes), sum(texts for _, texts in sizes)


def _shortened(value: Any, longest: int) -> Any:
    if isinstance(value, str):
        return shorten(value, longest)
    if isinstance(value, dict):
        return {key: _shortened(one, longest) for key, one in value.items()}
    return [_shortened(one, longest) for one in value] if isinstance(value, (list, tuple)) else value
