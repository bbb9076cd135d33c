"""Trim: a conversation stays short, whatever was said (guide: D1, "hard limit 20 interactions").

What counts: messages, without the system's. At the limit the oldest go; a tool's answers go with the call they answer.
Not covered: tokens. A character is at most about one token, in any language, so `keep * longest` bounds them.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from state.memory import RECENT_KEPT, TEXT_KEPT, shorten

if TYPE_CHECKING:
    from langchain_core.messages import AnyMessage, BaseMessage

    Messages = Sequence[BaseMessage]
    Places = dict[int, BaseMessage]

SYSTEM_KEPT: Final = 20
"""Different system messages that are kept, the oldest: an agent's instructions come first."""

ARGUMENTS_KEPT: Final = 20
"""Arguments that are kept of a call that is too long."""


@cache
def trim(keep: int = RECENT_KEPT, longest: int = TEXT_KEPT) -> "Callable[[Any, Any], list[AnyMessage]]":
    """A reducer that keeps the most recent messages and every instruction: `Annotated[list[AnyMessage], trim()]`.

    Messages are added and replaced by id as LangGraph's `add_messages` does it; removing a message that is gone
    already is no error, since two branches may both trim.

    Args:
        keep: Messages to keep besides the system's, at least 1; the same numbers give the same reducer.
        longest: Characters of one message, its calls included; the middle of a longer text is left out.

    Raises:
        ValueError: A limit is less than 1.
    """
    _check(keep, longest)

    def add_and_trim(messages: Any, new: Any) -> "list[AnyMessage]":
        """The messages with the new ones, within the limit."""
        from langgraph.graph.message import add_messages

        known, given = _messages(messages), _messages(new)
        return trimmed(add_messages(known, _without_stale(known, given)), keep, longest)  # type: ignore[arg-type]

    return add_and_trim


def trimmed(messages: Iterable[Any], keep: int = RECENT_KEPT, longest: int = TEXT_KEPT) -> "list[AnyMessage]":
    """What `trim` keeps of some messages, for a prompt that is built by hand (guide: A6, the role is never lost).

    A list with a message in it never becomes empty. Calls and their answers stay together; of a message with more
    calls than fit, the last ones stay. Answers without their call are left out.

    Args:
        messages: LangChain messages, or what LangChain takes for them; none of them is changed.
        keep: See `trim`.
        longest: See `trim`.

    Raises:
        ValueError: A limit is less than 1.
    """
    _check(keep, longest)
    given = _messages(list(messages))
    kept = {**_system(given), **_recent(given, keep)}
    return [_cut(kept[place], longest) for place in sorted(kept)]


def _check(keep: int, longest: int) -> None:
    if keep < 1 or longest < 1:
        raise ValueError(f"trim(keep={keep}, longest={longest}): keep at least 1 message of at least 1 character")


def _messages(given: Any) -> "list[BaseMessage]":
    from langchain_core.messages import convert_to_messages

    return convert_to_messages(given if isinstance(given, list) else [given])


def _without_stale(known: "Messages", given: "Messages") -> "list[BaseMessage]":
    """The update without removals of messages that do not exist."""
    from langgraph.graph.message import REMOVE_ALL_MESSAGES

    ids, useful = {REMOVE_ALL_MESSAGES, *(message.id for message in known)}, []
    for message in given:
        if message.type != "remove" or message.id in ids:
            useful.append(message)
        ids.add(message.id)
    return useful


def _system(messages: "Messages") -> "Places":
    """The instructions by place, each once."""
    first: dict[str, int] = {}
    for place, message in enumerate(messages):
        if message.type == "system":
            first.setdefault(str(message.content), place)
    return {place: messages[place] for place in list(first.values())[:SYSTEM_KEPT]}


def _recent(messages: "Messages", keep: int) -> "Places":
    """The newest groups that fit, by place; the newest one is made to fit."""
    kept: Places = {}
    for group in reversed(_groups(messages)):
        if kept and len(kept) + len(group) > keep:
            break
        kept.update(group if len(group) <= keep else _last_calls(group, keep))
    return kept


def _groups(messages: "Messages") -> "list[Places]":
    """Messages by place, a call in one group with its answers; answers without a call only if there is nothing else."""
    groups: list[Places] = []
    calls: dict[str, Places] = {}
    orphans: Places = {}
    for place, message in enumerate(messages):
        if message.type == "tool":
            calls.get(_answered(message), orphans)[place] = message
        elif message.type not in ("system", "remove"):
            groups.append({place: message})
            calls.update(dict.fromkeys(_calls(message), groups[-1]))
    return groups or [{place: message} for place, message in orphans.items()]


def _calls(message: "BaseMessage") -> list[str]:
    made = [*getattr(message, "tool_calls", ()), *getattr(message, "invalid_tool_calls", ())]
    return [call["id"] for call in made if call.get("id")]


def _answered(message: "BaseMessage") -> str:
    return str(getattr(message, "tool_call_id", ""))


def _last_calls(group: "Places", keep: int) -> "Places":
    """A call with more answers than fit: the last answers, and the message with only those calls."""
    (first, message), *answers = group.items()
    last = dict(answers[len(answers) - keep + 1 :])
    left = {_answered(answer) for answer in last.values()}
    only = [call for call in getattr(message, "tool_calls", ()) if call.get("id") in left]
    extra = {key: value for key, value in message.additional_kwargs.items() if key != "tool_calls"}
    changes = {"tool_calls": only, "invalid_tool_calls": [], "additional_kwargs": extra}
    return {first: message.model_copy(update=changes), **last}


def _cut(message: "BaseMessage", longest: int) -> Any:
    """The message within its characters; of a longer one a copy, with text alone for content."""
    calls = getattr(message, "tool_calls", [])
    besides = (message.additional_kwargs, getattr(message, "artifact", None))
    content = message.content if isinstance(message.content, str) else str(message.content)
    if len(content) + sum(len(str(part)) for part in (*calls, *besides) if part) <= longest:
        return message
    changes: dict[str, Any] = {"content": shorten(str(message.text) or content, longest), "additional_kwargs": {}}
    if hasattr(message, "artifact"):
        changes["artifact"] = None
    if calls:
        changes["content"] = shorten(changes["content"], max(1, longest // 2))
        changes["tool_calls"] = [_cut_call(call, longest // 2 // len(calls)) for call in calls]
    return message.model_copy(update=changes)


def _cut_call(call: dict[str, Any], longest: int) -> dict[str, Any]:
    """The call with arguments of at most so many characters; its name and id stay, so that its answer still fits."""
    if len(str(call["args"])) <= longest:
        return call
    kept = list(call["args"].items())[:ARGUMENTS_KEPT]
    each = longest // max(1, len(kept))
    return {**call, "args": {str(name)[:100]: shorten(str(value), each) for name, value in kept}}
