"""Streams: what a guarded graph streams holds no secret of this process, also when one comes in pieces (guide: G2).

What counts: the text of model chunks, whose end is held back while it may be the beginning of a secret, and what nodes
stream themselves; updates and values were looked through when they were written. Unit: characters; the rest of a text
comes with its message's last chunk, or where that broke off before the state that its step ended in. At the limit: the
longest spelling of a secret is held back, no more. Not covered: pieces of one secret in two messages, or in two texts
that a node streams itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final

from langchain_core.messages import AIMessageChunk, BaseMessageChunk
from langgraph.graph.state import CompiledStateGraph

from guards.scan.registered import Finder, finder
from guards.text.sweep import Hide, hidden

WASHED: Final = frozenset({"values", "updates", "checkpoints"})
"""Modes whose parts are made of what nodes wrote."""

_PIECES: Final = ("text", "reasoning", "args", "partial_json", "content")
"""Fields of a block or of a tool's call that come in pieces."""

_TWICE: Final = frozenset({"tool_calls", "function_call"})
"""Older copies of a tool call's pieces beside them."""


def hide_in_streams(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Let this compiled graph take in and stream no secrets."""
    parts: Any = compiled.astream
    events: Any = compiled.astream_events

    def astream(input: Any, *args: Any, **kwargs: Any) -> Any:
        found = parts(hidden(input), *args, **kwargs)  # the first checkpoint holds the input as it came
        return _hidden(found) if _tells_more(kwargs.get("stream_mode")) else found

    def astream_events(input: Any, *args: Any, **kwargs: Any) -> Any:
        found = events(hidden(input), *args, **kwargs)
        return _hidden(found) if finder().longest and kwargs.get("version") != "v3" else found  # v3 is `astream`

    compiled.astream, compiled.astream_events = astream, astream_events  # type: ignore[method-assign]


def _tells_more(modes: Any) -> bool:
    wanted = {modes} if isinstance(modes, str) else set(modes or ())
    return not wanted <= WASHED and bool(finder().longest)


async def _hidden(parts: AsyncGenerator[Any, None]) -> AsyncIterator[Any]:
    chunks = Chunks(finder())
    async with aclosing(parts):  # who stops listening ends the run, as without us
        async for part in parts:
            for shown in chunks.parts(part):
                yield shown
    for rest in chunks.rest():
        yield rest


class Chunks(Hide):
    """The parts of one stream, one after the other.

    Args:
        own: Looks for the secrets.
    """

    def __init__(self, own: Finder) -> None:
        super().__init__(own)
        self._held: dict[tuple[Any, ...], str] = {}
        self._last: dict[Any, tuple[Any, Any]] = {}
        self._over: set[Any] = set()
        self._part: Any = None
        self._before: list[Any] = []

    def parts(self, part: Any) -> list[Any]:
        """What may be shown of a part, behind what was held back of what ends with it: a block, or messages cut off."""
        broken = self.rest() if _ends_a_step(part) else []
        self._part, self._before, self.left = part, [], self.most
        shown = self.value(part)
        return [*broken, *self._before, shown]

    def rest(self) -> list[Any]:
        """What was held back of messages that broke off; nothing more of them is shown."""
        broken = list(self._last.values())
        rest = [_with(part, chunk, self._chunk(chunk.model_copy(update=_ENDS))) for part, chunk in broken]
        self._over.update(chunk.id for _, chunk in broken)
        return rest

    def value(self, value: Any, name: str = "", depth: int = 0) -> Any:
        """Chunks and events of a model's text by their pieces, all else as it is written."""
        if isinstance(value, BaseMessageChunk):
            return self._chunk(value)
        if isinstance(value, dict) and str(value.get("event", "")).startswith("content-block-"):
            return self._event(value)
        return super().value(value, name, depth)

    def _chunk(self, chunk: BaseMessageChunk) -> Any:
        kind: Any = type(chunk)
        if chunk.id in self._over:
            return kind(content="", id=chunk.id)
        ends = getattr(chunk, "chunk_position", None) == "last"
        shown = dict(chunk.__dict__)
        shown["content"] = self._content(chunk.id, chunk.content, ends)
        if isinstance(chunk, AIMessageChunk):
            calls = chunk.tool_call_chunks
            shown["tool_call_chunks"] = [self._block((chunk.id, "call"), call, ends) for call in calls]
            shown["tool_call_chunks"] += self._ends_of((chunk.id, "call"), {"type": "tool_call_chunk"}) if ends else []
            shown["additional_kwargs"] = {k: v for k, v in chunk.additional_kwargs.items() if k not in _TWICE}
        rest = {name: super(Chunks, self).value(shown[name]) for name in ("additional_kwargs", "response_metadata")}
        self._remember(chunk, ends)
        made = {k: v for k, v in shown.items() if k not in ("tool_calls", "invalid_tool_calls", "type")}
        return kind(**{**made, **rest})

    def _remember(self, chunk: BaseMessageChunk, ends: bool) -> None:
        self._last[chunk.id] = self._part, chunk
        if ends or not any(held for key, held in self._held.items() if key[0] in (chunk.id, (chunk.id, "call"))):
            self._last.pop(chunk.id, None)

    def _content(self, ident: Any, content: Any, ends: bool) -> Any:
        if isinstance(content, str):
            return self._piece((ident, "content"), content, ends)
        blocks = [
            self._piece((ident, at), block, ends) if isinstance(block, str) else self._block(ident, block, ends)
            for at, block in enumerate(content)
        ]
        return blocks + (self._ends_of(ident, {}) if ends else [])

    def _ends_of(self, ident: Any, kind: dict[str, Any]) -> list[dict[str, Any]]:
        """What was held back of blocks that a message's last chunk does not name."""
        keys = [key for key in self._held if key[0] == ident and len(key) == 3]
        nothing = {"name": None, "id": None} if kind else {}
        return [{"type": key[2], **kind, **nothing, "index": key[1], key[2]: self._held.pop(key)} for key in keys]

    def _block(self, ident: Any, block: Any, ends: bool) -> Any:
        at = block.get("index")
        pieces = {
            name: self._piece((ident, at, name), block[name], ends)
            for name in _PIECES
            if isinstance(block.get(name), str)
        }
        return {**super().value(dict(block)), **pieces}

    def _event(self, event: dict[str, Any]) -> Any:
        """One of the newer protocol: a block's beginning, its pieces, and its end with the whole of it."""
        ident = ("event", _place(self._part), event.get("index"))
        if event["event"] != "content-block-delta":
            for key in [key for key in self._held if key[:3] == ident]:
                self._let_go(event, key)
            return super().value(event)
        delta = event["delta"]
        pieces = {
            name: self._piece((*ident, name, delta.get("type")), delta[name], False)
            for name in _PIECES
            if isinstance(delta.get(name), str)
        }
        return {**event, "delta": {**delta, **pieces}}

    def _let_go(self, event: dict[str, Any], key: tuple[Any, ...]) -> None:
        text = self._held.pop(key)
        if text:
            delta = {"type": key[4], key[3]: text}
            piece = {"event": "content-block-delta", "index": event.get("index"), "delta": delta}
            self._before.append(_with(self._part, event, piece))

    def _piece(self, key: tuple[Any, ...], piece: str, ends: bool) -> str:
        """What can be shown with this piece of a text."""
        text = self.own.hide(self._held.pop(key, "") + piece)
        shown = len(text) if ends else self.own.begins_at(text)
        if shown < len(text):
            self._held[key] = text[shown:]
        return text[:shown]


_ENDS: Final = {"content": "", "tool_call_chunks": [], "chunk_position": "last"}


def _ends_a_step(part: Any) -> bool:
    """Whether it is the state of the graph itself: no node of its last step is running."""
    if isinstance(part, dict):
        return part.get("type") == "values" and not part.get("ns")
    return isinstance(part, tuple) and part[-2:-1] == ("values",) and (len(part) == 2 or not part[0])


def _place(part: Any) -> str:
    """Which node a part is from."""
    data = part.get("data") if isinstance(part, dict) else part[-1] if isinstance(part, tuple) else None
    metadata = data[-1] if isinstance(data, tuple) and data else data
    return str(metadata.get("langgraph_checkpoint_ns")) if isinstance(metadata, dict) else ""


def _with(part: Any, old: Any, new: Any) -> Any:
    """A part with one thing in it replaced."""
    if part is old:
        return new
    if isinstance(part, tuple):
        return tuple(_with(one, old, new) for one in part)
    return {key: _with(one, old, new) for key, one in part.items()} if isinstance(part, dict) else part
