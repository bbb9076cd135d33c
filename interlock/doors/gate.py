"""Gate: the middleware around everything that is served, LangGraph's own unprotected routes too.

Without a closed door it answers this machine alone; with one, nobody without a key or token but the health check.
What it does not know is refused. Not covered: how often somebody may call; put a limit in front of a public server.
"""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from interlock.doors.caller import Denied, Role
from interlock.doors.here import from_foreign_page, headers_of
from interlock.doors.login import caller_of
from interlock.doors.noted import note

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES: Final = 4_000_000
"""Of a request's body, if INTERLOCK_BODY_BYTES says nothing else."""

INSIDE: Final = "/noauth"
"""The root path of LangGraph's own calls to itself, for a caller who is known; no request can set it."""

HEALTH: Final = ("/", "/ok")
REFUSALS: Final = (401, 403, 404, 409, 422)
AREAS: Final[dict[str, Role]] = {
    **dict.fromkeys(("assistants", "threads", "runs", "store", "mcp", "a2a", ".well-known", "info"), "viewer"),
    **dict.fromkeys(("whoami", "reports"), "viewer"),
    **dict.fromkeys(("metrics", "docs", "openapi.json"), "admin"),
}
"""What is served beyond this machine, by the first part of the path, and to whom."""

HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-site",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
DOCS_POLICY: Final = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page of the API's documentation is LangGraph's, and loads its viewer from elsewhere."""


class Gate:
    """ASGI middleware.

    Args:
        app: What is behind it.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        inside = str(scope.get("root_path") or "")
        if scope["type"] not in ("http", "websocket") or inside == INSIDE or inside.startswith(f"{INSIDE}/"):
            await self.app(scope, receive, send)
            return
        guarded = _with_headers(send, str(scope["path"]))
        try:
            await _let_in(scope)
        except Denied as denied:
            note(denied, "request")
            await _deny(scope, guarded, denied)
            return
        body = Body(receive, guarded, most_bytes())
        await body.run(self.app, scope)


def most_bytes() -> int:
    """The most bytes of a request's body."""
    return int(os.environ.get("INTERLOCK_BODY_BYTES") or MOST_BYTES)


async def _let_in(scope: Scope) -> None:
    length = headers_of(scope).get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most_bytes():
        raise Denied(413, f"more than {most_bytes():,} bytes: send less")
    path = str(scope["path"]).removeprefix(str(scope.get("root_path") or ""))
    if path in HEALTH and scope.get("method") in ("GET", "HEAD"):
        return
    if from_foreign_page(scope):
        raise Denied(403, "this page's origin is not allowed: add it to http.cors.allow_origins in langgraph.json")
    if _is_preflight(scope):
        return
    caller = await caller_of(scope)
    if caller.local:
        return
    area = AREAS.get(path.split("/")[1] if path.startswith("/") else "")
    if area is None:
        raise Denied(404, "there is nothing here")
    if not caller.at_least(area):
        raise Denied(403, f"this needs the role '{area}', yours is '{caller.role}'")


def _is_preflight(scope: Scope) -> bool:
    """A browser asks what it may send; it shows no key, and CORS answers it."""
    names = {name.lower() for name, _ in scope.get("headers") or ()}
    return scope.get("method") == "OPTIONS" and {b"origin", b"access-control-request-method"} <= names


class Body:
    """A request whose body may have so many bytes. What is too long is not read on; its answer is 413.

    Args:
        receive: Where it comes from.
        send: Where its answer goes.
        most: Bytes.
    """

    def __init__(self, receive: Receive, send: Send, most: int) -> None:
        self._receive, self._send, self.most = receive, send, most
        self.taken, self.answered = 0, False

    async def run(self, app: App, scope: Scope) -> None:
        """Hand the request on; an app that loses its client in the middle of a body may well raise."""
        try:
            await app(scope, self.receive, self.send)
        except Exception as error:
            if self.answered or scope["type"] != "http" or (denied := self._meant(error)) is None:
                raise
            await _deny(scope, self._send, denied)
        else:
            if self.taken > self.most and not self.answered and scope["type"] == "http":
                await _deny(scope, self._send, self._too_long())

    def _meant(self, error: Exception) -> Denied | None:
        """LangGraph's MCP asks its own server, and takes a refusal for a fault."""
        if self.taken > self.most:
            return self._too_long()
        status = getattr(getattr(error, "response", None), "status_code", 0)
        return Denied(status, "this is refused, or there is no such thing") if status in REFUSALS else None

    def _too_long(self) -> Denied:
        return Denied(413, f"more than {self.most:,} bytes: send less")

    async def receive(self) -> Message:
        """The next part; for what is behind, a client that sends too much has hung up."""
        message = await self._receive()
        parts = (message.get("body"), message.get("bytes"), message.get("text"))
        self.taken += sum(len(part) for part in parts if part)
        if self.taken <= self.most:
            return message
        return {"type": f"{str(message['type']).partition('.')[0]}.disconnect", "code": 1009}

    async def send(self, message: Message) -> None:
        """Pass an answer on, unless the request was too long and has none yet."""
        if self.taken > self.most and not self.answered:
            return
        self.answered = True
        await self._send(message)


def _with_headers(send: Send, path: str) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = [*message.get("headers", ())]
            names = {name.lower() for name, _ in present}
            added = HEADERS | ({"content-security-policy": DOCS_POLICY} if path.endswith("/docs") else {})
            present += [(name.encode(), text.encode()) for name, text in added.items() if name.encode() not in names]
            message = {**message, "headers": present}
        await send(message)

    return dressed


async def _deny(scope: Scope, send: Send, denied: Denied) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": denied.why[:100]})
        return
    import json

    headers = [(b"content-type", b"application/json")]
    headers += [(b"www-authenticate", b"Bearer")] if denied.status == 401 else []
    await send({"type": "http.response.start", "status": denied.status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": denied.why}).encode()})
