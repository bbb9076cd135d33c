"""A small OpenAI-compatible server for tests and demos: scripted replies by role, faults on demand, on loopback only.

In a test:     with ModelServer() as server: server.fault("429", role="writer", calls=2, retry_after=0.01)
By hand:       python tests/model_server.py --port 8000 --fault reviewer:never_approves --script replies.json
Then:          OPENAI_BASE_URL=http://127.0.0.1:8000/v1 interlock research ...

The role comes from the system prompt's first line ("You are the writer ..."), else from the schema's or tool's name.
Replies: a dict (sent as JSON), a string (sent as is), or a function from the `Call` to either; a list is used up call
by call, its last entry stays. Waiting is done through `wait_for` and `until`: events, no sleeping.
"""

import argparse
import asyncio
import json
import re
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

CARD = "4111-1111-1111-1111"
KEY = "a-key-that-nobody-may-see"
INVENTED = "no/such-source.md"
REQUEST_BYTES = 16 * 1024 * 1024

FAULTS = {
    "hang": "accept the request and never answer",
    "429": "rate limit; retry_after=seconds sets the header",
    "500": "server error",
    "401": "wrong key; the reply echoes the Authorization header, as careless gateways do",
    "no_schema": "400 for requests with response_format (a server without structured output)",
    "overflow": "400 with code context_length_exceeded",
    "broken_json": "a well-formed reply whose content is cut JSON",
    "broken_body": "HTTP 200 whose body (or event) is cut JSON",
    "html": "HTTP 200 with an HTML page",
    "empty": "a reply without choices",
    "drip": "one byte every `every` seconds",
    "reset": "connection reset before the first byte",
    "reset_midway": "connection reset in the middle of the reply",
    "huge": "a content of `size` bytes",
    "refusal": "the model refuses",
    "length": "cut at the token limit",
    "no_usage": "a good reply without usage numbers",
    "never_approves": "the reviewer rejects every draft, each time for a new reason",
    "invented": "the writer cites a source that does not exist, beside good ones",
    "only_invented": "the writer cites nothing but a source that does not exist",
    "card": "the writer's text holds a card number",
}


@dataclass
class Call:
    """One request, as the server saw it. `state`: open, done, failed (a fault answered) or disconnected."""

    role: str
    number: int
    body: dict[str, Any]
    headers: dict[str, str]
    open_now: int
    state: str = "open"
    fault: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0

    @property
    def stream(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def text(self) -> str:
        """All messages in one string."""
        return "\n".join(_text(message) for message in self.body.get("messages", []))

    def records(self, key: str) -> list[dict[str, Any]]:
        """The JSON lines of the prompt that hold `key`: how the agents hand over sources and conflicts."""
        lines = (line for line in self.text.split("\n") if line.startswith("{") and f'"{key}"' in line)
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Fault:
    """What goes wrong, for calls `first` to `last` (None: for ever) of a role ("*": every role)."""

    kind: str
    role: str = "*"
    first: int = 1
    last: int | None = None
    retry_after: float | None = None
    every: float = 0.05
    size: int = 2 * 1024 * 1024

    def meets(self, call: Call) -> bool:
        if self.kind in CONTENT_FAULTS and CONTENT_FAULTS[self.kind][0] != call.role:
            return False
        in_range = self.first <= call.number and (self.last is None or call.number <= self.last)
        return in_range and self.role in ("*", call.role)


Content = dict[str, Any] | str
Reply = Content | Callable[[Call], Content]


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def role_of(body: dict[str, Any]) -> str:
    """The role that a request speaks for; "chat" when nothing tells."""
    for message in body.get("messages", []):
        if message.get("role") in ("system", "developer"):
            found = re.match(r"You are the (\w+)", _text(message))
            if found:
                return found[1].lower()
    return (schema_name(body) or "chat").lower()


def schema_name(body: dict[str, Any]) -> str:
    schema = (body.get("response_format") or {}).get("json_schema") or {}
    tools = body.get("tools") or [{}]
    return str(schema.get("name") or tools[0].get("function", {}).get("name") or "")


# -- sensible replies, so that the whole pipeline runs with no script at all


def planning(call: Call) -> Content:
    question = next((record["question"] for record in call.records("question")), "What is known?")
    return {"sub_questions": [str(question)], "names": [], "dates": []}


def writing(call: Call) -> Content:
    claims = []
    sub_question = next((record["sub_question"] for record in call.records("sub_question")), "")
    for source in call.records("source")[:3]:
        quote = source["text"].strip().split("\n")[0][:200].strip()
        claim = {"text": f"One source says: {quote}", "sub_question": sub_question, "sources": [source["source"]]}
        claims.append({**claim, "quotes": [{"source": source["source"], "text": quote}]})
    return {"claims": claims}


def invented(call: Call) -> Content:
    reply = writing(call)
    assert isinstance(reply, dict)
    reply["claims"].append(only_invented(call)["claims"][0])
    return reply


def only_invented(call: Call) -> dict[str, Any]:
    quote = {"source": INVENTED, "text": "Nobody ever wrote this."}
    claim = {"text": "An invented claim.", "sub_question": "", "sources": [INVENTED], "quotes": [quote]}
    return {"claims": [claim]}


def leaking(call: Call) -> Content:
    reply = writing(call)
    assert isinstance(reply, dict)
    for claim in reply["claims"]:
        claim["text"] += f" The card on file is {CARD}."
    return reply


def judging(call: Call) -> Content:
    return {"verdicts": [{"conflict": r["conflict"], "note": "They measure alike."} for r in call.records("conflict")]}


def rejecting(call: Call) -> Content:
    return {"approved": False, "reasons": [f"Objection {call.number}: not good enough."]}


REPLIES: dict[str, Reply] = {
    "planner": planning,
    "writer": writing,
    "judge": judging,
    "reviewer": {"approved": True, "reasons": []},
    "chat": "Hello.",
}
CONTENT_FAULTS: dict[str, tuple[str, Reply]] = {
    "never_approves": ("reviewer", rejecting),
    "invented": ("writer", invented),
    "only_invented": ("writer", only_invented),
    "card": ("writer", leaking),
}


class ModelServer:
    """The server, in a thread of its own while the `with` block lasts.

    Attributes:
        url: What OPENAI_BASE_URL wants, "http://127.0.0.1:<port>/v1".
        calls: The request log, in order of arrival; `models` counts requests of /v1/models.
        most_open: The most requests that were open at once.
        headers: Lines that every good reply has in its head besides, such as "x-ratelimit-remaining-requests: 0".
    """

    def __init__(self, port: int = 0, models: tuple[str, ...] = ("gpt-4o-mini",)) -> None:
        self.url, self.port, self.names = "", port, models
        self.calls: list[Call] = []
        self.models = self.most_open = 0
        self.headers: tuple[str, ...] = ()
        self._faults: list[Fault] = []
        self._replies: dict[str, list[Reply]] = {role: [reply] for role, reply in REPLIES.items()}
        self._changed = threading.Condition()
        self._numbers: dict[str, count[int]] = {}

    # -- scripting

    def fault(self, kind: str, role: str = "*", calls: int | None = None, **more: Any) -> Fault:
        """Let calls of a role fail; `calls=2`: the first two, then fine. Raises ValueError for an unknown fault."""
        if kind not in FAULTS:
            raise ValueError(f"unknown fault {kind!r}; one of: {', '.join(FAULTS)}")
        made = Fault(kind, role, last=more.pop("last", calls), **more)
        self._faults.append(made)
        return made

    def reply(self, role: str, *replies: Reply) -> None:
        """Script a role: one reply a call, the last one stays."""
        self._replies[role] = list(replies)

    def script(self, text: str) -> None:
        """Read `{"replies": {role: [...]}, "faults": [{"kind": "429", "role": "writer", "calls": 2}]}`."""
        data = json.loads(text)
        for role, replies in data.get("replies", {}).items():
            self.reply(role, *(replies if isinstance(replies, list) else [replies]))
        for fault in data.get("faults", []):
            self.fault(**fault)

    def mend(self) -> None:
        """Forget every fault."""
        self._faults.clear()

    # -- watching

    def of(self, role: str) -> list[Call]:
        """The calls of one role, in order."""
        return [call for call in self.calls if call.role == role]

    @property
    def open_now(self) -> int:
        return sum(call.state == "open" for call in self.calls)

    def wait_for(self, fact: Callable[[], bool], seconds: float = 60.0) -> bool:
        """Block until `fact()` holds, checked at every change of the log; False when the time is up."""
        with self._changed:
            return self._changed.wait_for(fact, seconds)

    async def until(self, fact: Callable[[], bool], seconds: float = 60.0) -> bool:
        """`wait_for` without blocking the caller's loop."""
        return await asyncio.to_thread(self.wait_for, fact, seconds)

    # -- life

    def __enter__(self) -> "ModelServer":
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        if not started.wait(10) or not self.url:
            raise OSError(f"the model server could not listen on port {self.port}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self, started: threading.Event) -> None:
        self._loop, self._stop, self._tasks = asyncio.get_running_loop(), asyncio.Event(), set[asyncio.Task[None]]()
        try:
            server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, limit=REQUEST_BYTES)
            self.port = server.sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}/v1"
        finally:
            started.set()
        await self._stop.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                await self._answer(*await _read(reader), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or the server is closing
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(
        self, path: str, headers: dict[str, str], body: bytes, reader: asyncio.StreamReader, out: asyncio.StreamWriter
    ) -> None:
        if path.endswith("/models"):
            self.models += 1
            listed = [{"id": name, "object": "model", "owned_by": "tests"} for name in self.names]
            return await _send_json(out, 200, {"object": "list", "data": listed})
        if not path.endswith("/chat/completions"):
            return await _send_json(out, 404, _error("no such path", "not_found"))
        call = self._note(json.loads(body), headers)
        gone = asyncio.create_task(reader.read(1))
        try:
            await self._reply_to(call, out, gone)
            self._close(call, "failed" if call.fault else "done")
        except (ConnectionError, Disconnected):
            self._close(call, "disconnected")
            raise ConnectionResetError from None
        except asyncio.CancelledError:
            self._close(call, "failed")
            raise
        finally:
            gone.cancel()
            await asyncio.gather(gone, return_exceptions=True)

    def _note(self, body: dict[str, Any], headers: dict[str, str]) -> Call:
        role = role_of(body)
        with self._changed:
            number = next(self._numbers.setdefault(role, count(1)))
            call = Call(role, number, body, headers, open_now=self.open_now + 1)
            call.input_tokens = len(call.text) // 4 + 1
            self.most_open = max(self.most_open, call.open_now)
            self.calls.append(call)
            self._changed.notify_all()
        return call

    def _close(self, call: Call, state: str) -> None:
        with self._changed:
            call.state, call.ended = state, time.monotonic()
            self._changed.notify_all()

    async def _reply_to(self, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
        fault = next((fault for fault in self._faults if fault.meets(call)), None)
        kind = fault.kind if fault else ""
        if kind == "no_schema" and "response_format" not in call.body:
            fault, kind = None, ""
        if fault and kind not in CONTENT_FAULTS and kind != "no_usage":
            call.fault = kind
        if fault and kind in BEFORE:
            await BEFORE[kind](fault, call, out, gone)
        else:
            made = (_stream if call.stream else _whole)(call, fault, self._content(call, kind))
            await _send(out, made, call.stream, fault, gone, self.headers)

    def _content(self, call: Call, kind: str) -> str:
        replies = self._replies.get(call.role) or [REPLIES["chat"]]
        reply = CONTENT_FAULTS[kind][1] if kind in CONTENT_FAULTS else replies[min(call.number, len(replies)) - 1]
        content = reply(call) if callable(reply) else reply
        return content if isinstance(content, str) else json.dumps(content)


class Disconnected(Exception):
    """The client went away."""


# -- HTTP


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return first.split(" ")[1].split("?")[0], headers, body


def _head(status: int, kind: str, *more: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Status", f"Content-Type: {kind}", *more, "", ""]).encode()


async def _send_json(out: asyncio.StreamWriter, status: int, data: dict[str, Any], *more: str) -> None:
    body = json.dumps(data).encode()
    out.write(_head(status, "application/json", f"Content-Length: {len(body)}", *more) + body)
    await out.drain()


def _error(message: str, code: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": code, "code": code, "param": None}}


async def _send(
    out: asyncio.StreamWriter,
    chunks: list[bytes],
    stream: bool,
    fault: Fault | None,
    gone: "asyncio.Task[bytes]",
    more: tuple[str, ...],
) -> None:
    """Write the reply chunked, so that a stream and a whole reply take the same way; faults of the wire happen here."""
    out.write(_head(200, "text/event-stream" if stream else "application/json", "Transfer-Encoding: chunked", *more))
    data = b"".join(chunks)
    async for piece in _pieces(data, fault, gone):
        out.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        await out.drain()
    if fault and fault.kind == "reset_midway":
        out.transport.abort()
        return
    out.write(b"0\r\n\r\n")
    await out.drain()


async def _pieces(data: bytes, fault: Fault | None, gone: "asyncio.Task[bytes]") -> AsyncIterator[bytes]:
    if fault and fault.kind == "drip":
        for byte in data:
            if (await asyncio.wait({gone}, timeout=fault.every))[0]:
                raise Disconnected
            yield bytes([byte])
    else:
        yield data[: len(data) // 2] if fault and fault.kind == "reset_midway" else data


# -- faults that answer before any content


async def _hang(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    await gone
    raise Disconnected


async def _limit(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    more = () if fault.retry_after is None else (f"Retry-After: {fault.retry_after:g}",)
    await _send_json(out, 429, _error("Rate limit reached", "rate_limit_exceeded"), *more)


async def _crash(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    await _send_json(out, 500, _error("The server had an error", "server_error"))


async def _deny(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    await _send_json(out, 401, _error(f"Incorrect API key: {call.headers.get('authorization')}", "invalid_api_key"))


async def _no_schema(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    await _send_json(out, 400, _error("'response_format' of type 'json_schema' is not supported", "invalid_request"))


async def _overflow(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    await _send_json(out, 400, _error("maximum context length is 128 tokens", "context_length_exceeded"))


async def _html(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    page = b"<html><body>Welcome to the captive portal</body></html>"
    out.write(_head(200, "text/html", f"Content-Length: {len(page)}") + page)
    await out.drain()


async def _reset(fault: Fault, call: Call, out: asyncio.StreamWriter, gone: "asyncio.Task[bytes]") -> None:
    out.transport.abort()


Before = Callable[[Fault, Call, asyncio.StreamWriter, "asyncio.Task[bytes]"], Awaitable[None]]
BEFORE: dict[str, Before] = {
    "hang": _hang,
    "429": _limit,
    "500": _crash,
    "401": _deny,
    "no_schema": _no_schema,
    "overflow": _overflow,
    "html": _html,
    "reset": _reset,
}


# -- replies in OpenAI's form


def _message(call: Call, kind: str, content: str) -> tuple[dict[str, Any], str]:
    """The assistant message and its finish reason."""
    if kind == "refusal":
        return {"role": "assistant", "content": None, "refusal": "I can't help with that."}, "stop"
    if kind in ("broken_json", "length"):
        return _said(call, content[: len(content) // 2]), "length" if kind == "length" else "stop"
    return _said(call, content), "tool_calls" if call.body.get("tools") else "stop"


def _said(call: Call, content: str) -> dict[str, Any]:
    if not call.body.get("tools"):
        return {"role": "assistant", "content": content}
    function = {"name": schema_name(call.body), "arguments": content}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "t1", "type": "function", "function": function}],
    }


def _prepared(call: Call, fault: Fault | None, content: str) -> tuple[dict[str, Any], str, dict[str, int] | None]:
    if fault and fault.kind == "huge":
        content = json.dumps({"answer": "x" * fault.size, "claims": [], "approved": True, "reasons": []})
    message, finish = _message(call, fault.kind if fault else "", content)
    call.output_tokens = len(content) // 4 + 1
    usage = {
        "prompt_tokens": call.input_tokens,
        "completion_tokens": call.output_tokens,
        "total_tokens": call.input_tokens + call.output_tokens,
    }
    return message, finish, None if fault and fault.kind == "no_usage" else usage


def _envelope(call: Call, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": f"call-{call.number}", "object": kind, "created": 0, "model": call.body.get("model", "m"), **more}


def _whole(call: Call, fault: Fault | None, content: str) -> list[bytes]:
    message, finish, usage = _prepared(call, fault, content)
    choices = [] if fault and fault.kind == "empty" else [{"index": 0, "message": message, "finish_reason": finish}]
    body = json.dumps(_envelope(call, "chat.completion", choices=choices, **({"usage": usage} if usage else {})))
    return [body[: len(body) // 2].encode() if fault and fault.kind == "broken_body" else body.encode()]


def _stream(call: Call, fault: Fault | None, content: str) -> list[bytes]:
    message, finish, usage = _prepared(call, fault, content)
    choices = [] if fault and fault.kind == "empty" else [*_deltas(message), ({}, finish)]
    events = [_chunk(call, choices=[{"index": 0, "delta": d, "finish_reason": end}]) for d, end in choices]
    if fault and fault.kind == "broken_body":
        return [f"data: {event[: len(event) // 2]}\n\n".encode() for event in events[:1]]
    if usage and (call.body.get("stream_options") or {}).get("include_usage"):
        events.append(_chunk(call, choices=[], usage=usage))
    return [*(f"data: {event}\n\n".encode() for event in events), b"data: [DONE]\n\n"]


def _chunk(call: Call, **more: Any) -> str:
    return json.dumps(_envelope(call, "chat.completion.chunk", **more))


def _deltas(message: dict[str, Any]) -> list[tuple[dict[str, Any], str | None]]:
    """The message in a few pieces: the role first, then the content (or the tool's arguments) in parts of 64 bytes."""
    pieces: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    if refusal := message.get("refusal"):
        return [*pieces, ({"refusal": refusal}, None)]
    if tools := message.get("tool_calls"):
        return [*pieces, ({"tool_calls": [{"index": 0, **tools[0]}]}, None)]
    content = message["content"]
    step = max(64, len(content) // 50)
    return [*pieces, *(({"content": content[at : at + step]}, None) for at in range(0, len(content), step))]


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--script", type=Path, help="a JSON file with replies and faults")
    parser.add_argument("--fault", action="append", default=[], metavar="ROLE:KIND[:CALLS]", help=", ".join(FAULTS))
    arguments = parser.parse_args()
    with ModelServer(arguments.port) as server:
        if arguments.script:
            server.script(arguments.script.read_text())
        for role, kind, *calls in (fault.split(":") for fault in arguments.fault):
            server.fault(kind, role, int(calls[0]) if calls else None)
        sys.stdout.write(f"OPENAI_BASE_URL={server.url}\n")
        sys.stdout.flush()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stdout.writelines(f"{c.role} {c.number} {c.state} {c.fault}\n" for c in server.calls)


if __name__ == "__main__":
    main()
