"""Chat: the one model class, `ChatOpenAI` without its traps. Heavy to import; `nodes.models` does it when needed.

What it adds: a total time (ChatOpenAI's own time-out is per read), an HTTP client for each event loop that bounds the
reply's size (`nodes.chat_http`), and errors that say what to do and hold no key (`nodes.chat_errors`).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx2
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from guards import remaining
from nodes.chat_errors import ModelDown, plain
from nodes.chat_http import http_client, sync_http_client

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
TOTAL_SECONDS = 120.0
"""For a whole call outside a guard; inside one it is what remains of the attempt."""


class Chat(ChatOpenAI):
    """An OpenAI-compatible chat model that ends on time, in any event loop, and fails in plain words."""

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """One whole reply. Raises `ModelDown` or `ModelRefused`."""
        try:
            async with asyncio.timeout_at(_deadline()):
                result = await super()._agenerate(messages, stop, run_manager, **kwargs)
            if result.generations:
                return result
            failure: Exception = _no_choices()
        except Exception as error:
            failure = self._plain(error)
        try:
            raise failure
        finally:
            del failure  # or it and this frame would hold each other

    async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
        """The reply in pieces. Raises `ModelDown` or `ModelRefused`."""
        deadline, said = _deadline(), False
        failure: Exception | None = None
        async with aclosing(super()._astream(*args, **kwargs)) as pieces:  # type: ignore[type-var]
            while failure is None:
                try:
                    async with asyncio.timeout_at(deadline):
                        piece = await anext(pieces)
                    said = said or _says_something(piece)
                except StopAsyncIteration:
                    if said:
                        return
                    failure = _no_choices()
                except Exception as error:
                    failure = self._plain(error)
                else:
                    yield piece
        try:
            raise failure
        finally:
            del failure, pieces  # or frame, error and stream would live on until a garbage collection, in any thread

    def _convert_chunk_to_generation_chunk(self, chunk: dict[str, Any], *more: Any) -> ChatGenerationChunk | None:
        """A piece of a stream; a refusal, which ChatOpenAI drops here, is kept as it keeps one in a whole reply."""
        made = super()._convert_chunk_to_generation_chunk(chunk, *more)
        refusal = next((choice.get("delta", {}).get("refusal") for choice in chunk.get("choices") or ()), None)
        if made is not None and refusal:
            made.message.additional_kwargs["refusal"] = refusal
        return made

    def _plain(self, error: Exception) -> Exception:
        """The error as we raise it; made outside of `except`, so that no traceback drags the SDK's text along."""
        key = self.openai_api_key
        return plain(error, key.get_secret_value() if isinstance(key, SecretStr) else "")


def _deadline() -> float:
    """When the call must be over, on the running loop's clock."""
    left = remaining()
    return asyncio.get_running_loop().time() + (TOTAL_SECONDS if left == float("inf") else left)


def _says_something(piece: ChatGenerationChunk) -> bool:
    """Whether a piece comes from a choice: text, a tool call, a refusal or a reason to end."""
    message = piece.message
    return bool(piece.text or piece.generation_info or message.additional_kwargs or message.tool_call_chunks)  # type: ignore[attr-defined]


def _no_choices() -> ModelDown:
    return ModelDown("the model server's reply is not in OpenAI's form (no choices); check OPENAI_BASE_URL")


def chat(model: str, *, key: str, base_url: str | None, **more: Any) -> Chat:
    """Make a model. `more` are fields of `ChatOpenAI`, such as `temperature`."""
    timeout = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS)
    return Chat(
        model=model,
        api_key=SecretStr(key),
        base_url=base_url,
        timeout=timeout,
        stream_chunk_timeout=READ_SECONDS,
        max_retries=0,
        stream_usage=True,
        http_client=sync_http_client(),
        http_async_client=http_client(),
        **more,
    )


def warm() -> None:
    """Load what a first call would load on the event loop, half a second of it. Call it in a thread."""
    made = chat("warm", key="none", base_url=None)
    _ = made.root_async_client.chat.completions.with_raw_response
