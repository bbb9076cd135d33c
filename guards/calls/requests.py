"""Requests: sees each HTTP request that a client makes for one model call, so that its own retries are calls too.

Most providers' clients send through `httpx` or `httpx2`. Where one of them is loaded, its clients' `send` is watched
inside guarded model calls and nowhere else: the first POST is the call itself, every further one to its address passes
all gates anew. Error replies tell the client not to try again (`x-should-retry`, which the clients of OpenAI and
Anthropic obey), and after a broken connection nothing more is sent: retries are `Policy(attempts=...)`'s, on one floor
only.

Not covered: clients that use neither library; their own retries are seen as one call.
"""

import functools
import sys
from contextvars import ContextVar
from typing import Any

from guards.calls import gates
from guards.calls.calls import Again, Call, enter, leave
from guards.calls.hooks import finish

LIBRARIES = ("httpx", "httpx2")
FIRST_ERROR = 400

_calls: ContextVar[tuple[Call, ...]] = ContextVar("interlock_calls", default=())
"""The model calls that were begun in this context and may still be open."""

_watched: set[str] = set()


def expect(call: Call) -> None:
    """The client that is called next, in this context, sends its requests for this call."""
    _watch()
    _calls.set((*(other for other in _calls.get() if other.entered), call))


def _watch() -> None:
    """Watch the clients of the HTTP libraries that are loaded by now."""
    for name in LIBRARIES:
        if name not in _watched and (library := sys.modules.get(name)) is not None:
            _watched.add(name)
            library.AsyncClient.send = _watched_async(library.AsyncClient.send)
            library.Client.send = _watched_sync(library.Client.send)


def _watched_async(send: Any) -> Any:
    @functools.wraps(send)
    async def watched(client: Any, request: Any, **options: Any) -> Any:
        call = _call_of(request)
        if call is None:
            return await send(client, request, **options)
        if call.outcome is not None:
            await _again(call)
        try:
            return _noted(call, await send(client, request, **options))
        except Exception as error:
            call.outcome = error
            raise

    return watched


def _watched_sync(send: Any) -> Any:
    @functools.wraps(send)
    def watched(client: Any, request: Any, **options: Any) -> Any:
        call = _call_of(request)
        if call is None:
            return send(client, request, **options)
        if call.outcome is not None:
            finish(_again(call))
        try:
            return _noted(call, send(client, request, **options))
        except Exception as error:
            call.outcome = error
            raise

    return watched


def _call_of(request: Any) -> Call | None:
    """The open model call that a request belongs to; a node may send others of its own meanwhile."""
    if request.method != "POST":
        return None
    address = str(request.url)
    found = [call for call in _calls.get() if call.entered and call.address in ("", address)]
    fresh = next((call for call in found if not call.address), None)
    call = fresh or next((call for call in reversed(found) if call.outcome is not None), None)
    if call is not None:
        call.address = address
    return call


async def _again(call: Call) -> None:
    """The client tries once more: after a reply that is another call, after a broken connection it is not made.

    Raises:
        Exception: How the connection broke, again.
    """
    if call.outcome is not None and not isinstance(call.outcome, Again):
        raise call.outcome
    leave(call, call.outcome, None)
    await enter(call, gates.GATES)


def _noted(call: Call, response: Any) -> Any:
    call.outcome, call.headers = Again(response), response.headers
    if response.status_code >= FIRST_ERROR:
        response.headers["x-should-retry"] = "false"
    return response
