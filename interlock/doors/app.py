"""App: what is served beside LangGraph's own routes, and the check before anything is. langgraph.json names `app`.

`/whoami` says who a key is; `/reports/{thread}` shows the report of a thread as a page that runs and loads nothing.
"""

import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from interlock.doors.caller import Caller, Denied
from interlock.doors.gate import HEADERS, Gate, most_bytes
from interlock.doors.here import served_beyond
from interlock.doors.login import OPEN, caller_of, is_closed

log: Final = logging.getLogger("interlock")

PAGE_POLICY: Final = HEADERS["content-security-policy"] + "; style-src 'unsafe-inline'"
"""The page itself states a stricter one, by the hash of its style; both hold."""


@asynccontextmanager
async def checked(app: Starlette) -> AsyncIterator[None]:
    """Serve nothing to anybody but this machine while the door is open.

    Raises:
        RuntimeError: It would; the text says what to do.
    """
    import asyncio

    try:
        closed = await asyncio.to_thread(is_closed)
    except ValueError as error:
        raise RuntimeError(str(error)) from None
    beyond = served_beyond()
    if beyond and not closed:
        raise RuntimeError(f"not served at {beyond}: {OPEN}; or serve at 127.0.0.1")
    log.warning("callers must show a key or a token" if closed else OPEN)
    yield


async def whoami(request: Request) -> Response:
    """Who the caller is, and what it may send."""
    caller = await caller_of(request.scope)
    told = {"identity": caller.identity, "tenant": caller.tenant, "role": caller.role, "body_bytes": most_bytes()}
    return JSONResponse(told)


async def report(request: Request) -> Response:
    """The report of a thread, for its tenant."""
    caller = await caller_of(request.scope)
    answer = await _answer(str(request.path_params["thread"]), caller)
    if answer is None:
        return JSONResponse({"detail": "there is no such report"}, 404)
    from nodes.text.html import html_page
    from state.answer import Answer

    try:
        page = html_page(Answer.model_validate(answer))
    except ValueError:
        return JSONResponse({"detail": "this thread's answer is no report"}, 404)
    return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY})


async def _answer(thread: str, caller: Caller) -> Any:
    """The answer in a thread's state, if the thread is the caller's to see."""
    from langgraph_sdk import get_client
    from langgraph_sdk.errors import APIError

    try:
        found = await get_client(url=None).threads.get(str(uuid.UUID(thread)))
    except (ValueError, APIError):
        return None
    if not caller.local and (found.get("metadata") or {}).get("tenant") != caller.tenant:
        return None
    values = found.get("values")
    return values.get("answer") if isinstance(values, dict) else None


async def denied(request: Request, error: Exception) -> Response:
    """A caller that the gate did not know."""
    assert isinstance(error, Denied)  # noqa: S101
    return JSONResponse({"detail": error.why}, error.status)


app: Final = Starlette(
    routes=[Route("/whoami", whoami), Route("/reports/{thread}", report)],
    middleware=[Middleware(Gate)],
    lifespan=checked,
    exception_handlers={Denied: denied},
)
