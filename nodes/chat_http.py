"""The HTTP client of the models: one for each event loop, closed by the loop itself, its replies bounded in size."""

import asyncio
import threading
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import httpx2

from nodes.chat_errors import ModelRefused

REPLY_BYTES = 1_500_000
"""On the wire; a stream needs about 250 bytes a token. It is bounded here and not where the text is put together, so
that everything in between ends with an error: a stream that is left in the middle is cleaned up by chance."""

_clients: "WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, httpx2.AsyncClient]]" = WeakKeyDictionary()
_lock = threading.Lock()


async def _open() -> AsyncIterator[httpx2.AsyncClient]:
    """An open client. Being an async generator, the loop closes it with `shutdown_asyncgens`, as `asyncio.run` does."""
    loop = asyncio.get_running_loop()
    direct = {f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")}
    limits = httpx2.Limits(max_connections=200, max_keepalive_connections=20, keepalive_expiry=5.0)
    client = httpx2.AsyncClient(verify=_tls(), limits=limits, mounts=direct)
    try:
        yield client
    finally:
        with _lock:
            _clients.pop(loop, None)
        await client.aclose()


async def client_of_this_loop() -> httpx2.AsyncClient:
    """The running loop's HTTP client, made on first use."""
    loop = asyncio.get_running_loop()
    with _lock:
        for other in [other for other in _clients if other.is_closed()]:
            del _clients[other]
        if loop in _clients:
            return _clients[loop][1]
    holder = _open()
    client = await anext(holder)
    with _lock:
        _clients[loop] = (holder, client)
    return client


@lru_cache(maxsize=1)
def _tls() -> Any:
    """One TLS context for all clients: it takes longer to load than everything else of a client."""
    return httpx2.create_ssl_context()


class PerLoop(httpx2.AsyncBaseTransport):
    """Sends each request through the client of the loop it is made in, and bounds the reply's size."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request; its body comes as a bounded stream."""
        client = await client_of_this_loop()
        request.headers["Accept-Encoding"] = "identity"
        response = await client.send(request, stream=True)
        response.stream = Bounded(response.stream)
        return response


class Bounded(httpx2.AsyncByteStream):
    """A reply's body that ends with an error when it grows too large."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes; raises `ModelRefused` past `REPLY_BYTES`."""
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > REPLY_BYTES:
                raise ModelRefused(f"the model server's reply is larger than {REPLY_BYTES:,} bytes; it was dropped")
            yield chunk

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._stream.aclose()


@lru_cache(maxsize=1)
def http_client() -> httpx2.AsyncClient:
    """The client that every `Chat` is given; it belongs to no loop."""
    return httpx2.AsyncClient(transport=PerLoop())


@lru_cache(maxsize=1)
def sync_http_client() -> httpx2.Client:
    """The client for calls outside of any loop; shared, for making one loads the TLS context again."""
    return httpx2.Client(verify=_tls())
