"""Meter: sees every LangChain model and tool call inside a guarded node and takes it through the gates.

It is found by LangChain's callback managers through a context variable, so it also sees the plain `ChatOpenAI` of an
author who forgot about limits. A cancelled call that was not streamed fires no callback at all; the node leaves the
gates for it when the attempt ends.
"""

import logging
from typing import Any
from uuid import UUID
from zlib import crc32

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook

from guards.calls import gates
from guards.calls.calls import Call, Usage, enter, leave
from guards.calls.hooks import Work, hook
from guards.calls.provider import provider_of
from guards.calls.requests import expect
from guards.ledger.estimate import input_tokens, output_tokens
from guards.running.attempt import Attempt, current_attempt, meter
from guards.taint.declared import declared
from guards.taint.words import LONGEST


class Meter(BaseCallbackHandler):
    """Enters the gates before a call and leaves them after it. Holds no state of its own: that is the attempt's."""

    raise_error = True
    run_inline = True
    ignore_chain = True
    ignore_retriever = True
    ignore_custom_event = True

    @hook
    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> Work:
        """Let a chat model's call through, or refuse it."""
        return _enter_model(serialized, [message for batch in messages for message in batch], run_id, kwargs)

    @hook
    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any) -> Work:
        """Let a completion model's call through, or refuse it."""
        return _enter_model(serialized, prompts, run_id, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """The provider answered and said what it used, or did not say it."""
        _leave(run_id, None, _usage(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The call failed."""
        _leave(run_id, error, None)

    @hook
    def on_tool_start(self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **kwargs: Any) -> Work:
        """Let a tool's call through, or refuse it."""
        attempt = current_attempt.get()
        if attempt is None:
            return _unguarded()
        name = str((serialized or {}).get("name") or kwargs.get("name") or "tool")
        call = Call("tool", name, _described(serialized), attempt, key=run_id)
        call.declared, call.arguments = declared(kwargs.get("metadata")), kwargs.get("inputs") or {"input": input_str}
        return enter(call, gates.GATES)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """The tool answered."""
        attempt = current_attempt.get()
        call = attempt.calls.get(run_id) if attempt is not None else None
        if call is not None and getattr(call.declared, "trusted", False):
            call.output = str(getattr(output, "content", output))[:LONGEST]
        _leave(run_id, None, None)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """The tool failed."""
        _leave(run_id, error, None)


def _described(serialized: Any) -> str:
    """What tells two tools of the same name apart."""
    return f"{crc32(str((serialized or {}).get('description') or '').encode()):08x}"


def _enter_model(serialized: Any, messages: list[Any], run_id: UUID, kwargs: dict[str, Any]) -> Work:
    """Not a coroutine function: what it notes must be seen by the client that is called next, in the same context."""
    attempt = current_attempt.get()
    if attempt is None:
        return _unguarded()
    call = _model_call(attempt, serialized, messages, run_id, kwargs)
    expect(call)
    return enter(call, gates.GATES)


async def _unguarded() -> None:
    """A call outside a guarded node is nobody's."""


def _model_call(attempt: Attempt, serialized: Any, messages: list[Any], run_id: UUID, kwargs: dict[str, Any]) -> Call:
    parameters = kwargs.get("invocation_params") or {}
    metadata = kwargs.get("metadata") or {}
    model = str(parameters.get("model") or parameters.get("model_name") or metadata.get("ls_model_name") or "")
    return Call(
        kind="model",
        name=model,
        provider=provider_of(serialized, metadata),
        attempt=attempt,
        role=str(metadata.get("interlock_role") or ""),
        input_tokens=input_tokens(messages, parameters),
        output_tokens=output_tokens(parameters, attempt.scope.policy.reply_tokens),
        price=metadata.get("interlock_price"),
        key=run_id,
    )


def _leave(run_id: UUID, error: BaseException | None, usage: Usage | None) -> None:
    attempt = current_attempt.get()
    call = attempt.calls.pop(run_id, None) if attempt is not None else None
    if call is not None:
        leave(call, error, usage)


def _usage(response: LLMResult) -> Usage | None:
    for generations in response.generations:
        for generation in generations:
            found = getattr(getattr(generation, "message", None), "usage_metadata", None)
            if found:
                return int(found.get("input_tokens", 0)), int(found.get("output_tokens", 0))
    return None


def _is_no_refusal(entry: logging.LogRecord) -> bool:
    """LangChain logs what a handler raises, arguments and all, as the handler's error; the gates' own no is none."""
    return not (isinstance(entry.args, tuple) and entry.args[:1] == (Meter.__name__,))


logging.getLogger("langchain_core.callbacks.manager").addFilter(_is_no_refusal)
METER = Meter()
register_configure_hook(meter, inheritable=True)
