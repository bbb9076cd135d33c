"""Meter: sees every LangChain chat model call inside a guarded node and puts it through the ledger.

It is found by LangChain's callback managers through a context variable, so it also sees the plain `ChatOpenAI` of an
author who forgot about limits. A cancelled call that was not streamed fires no callback at all; its hold is charged
when the attempt ends (`charge_open_holds`).
"""

from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook

from guards.attempt import Attempt, current_attempt, meter
from guards.errors import Permanent, PriceUnknown
from guards.ledger import Hold
from guards.prices import Price, price_of
from state.guarded import Spent

CHARS_PER_TOKEN = 3
"""Low on purpose: English runs at about 4, dense text and JSON at about 3; a reservation must not be too small."""

TOKENS_PER_MESSAGE = 8
FREE_OF_CHARGE_STATUS = range(400, 600)
"""An HTTP error reply is not billed; it still counts as a call."""


class Meter(BaseCallbackHandler):
    """Reserves before a call, settles after it. Holds no state of its own: that is the attempt's."""

    raise_error = True
    run_inline = True
    ignore_chain = True
    ignore_agent = True
    ignore_retriever = True
    ignore_custom_event = True

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Reserve the call, or refuse it."""
        characters = sum(_length(message) for batch in messages for message in batch)
        tokens = characters // CHARS_PER_TOKEN + TOKENS_PER_MESSAGE * sum(map(len, messages))
        _reserve(run_id, tokens, kwargs)

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any) -> None:
        """Reserve a call of a plain completion model."""
        _reserve(run_id, sum(map(len, prompts)) // CHARS_PER_TOKEN + TOKENS_PER_MESSAGE, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle with the usage that the provider reported, else with the reservation."""
        settle(run_id, _usage(response))

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Settle a failed call: free when the provider said no, charged in full when nobody knows."""
        status = getattr(error, "status_code", None)
        settle(run_id, (0, 0) if status in FREE_OF_CHARGE_STATUS else None)


def _reserve(run_id: UUID, input_tokens: int, kwargs: dict[str, Any]) -> None:
    attempt = current_attempt.get()
    if attempt is None:
        return
    parameters = kwargs.get("invocation_params") or {}
    metadata = kwargs.get("metadata") or {}
    model = str(parameters.get("model") or parameters.get("model_name") or metadata.get("ls_model_name") or "")
    if not attempt.open:
        raise Permanent("the node's time is over; its late calls are not made")
    output = next((parameters[key] for key in _MAXIMA if parameters.get(key)), attempt.scope.policy.reply_tokens)
    hold_everywhere(attempt, run_id, model, metadata.get("interlock_price"), input_tokens, int(output))


_MAXIMA = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def hold_everywhere(
    attempt: Attempt, key: object, model: str, hint: object, input_tokens: int, output_tokens: int
) -> None:
    """Reserve one call in the books of this run and of every run around it; all or none.

    Raises:
        LimitReached: One of the limits would be passed.
        PriceUnknown: Money is limited and the model's price is unknown.
    """
    taken: list[tuple[Attempt, Hold, Price | None]] = []
    try:
        for link in attempt.chain():
            policy = link.scope.policy
            price = price_of(model, policy.prices, hint)
            if price is None and policy.dollars is not None:
                raise PriceUnknown(model)
            most = _cost(input_tokens, output_tokens, price)
            taken.append((link, link.scope.ledger.reserve(most), price))
    except Permanent:
        for link, hold, _ in taken:
            link.scope.ledger.settle(hold, Spent())
        raise
    attempt.holds[key] = taken


def settle(key: object, usage: tuple[int, int] | None) -> None:
    """Close the holds of one call with its (input, output) tokens; None charges what was reserved."""
    attempt = current_attempt.get()
    if attempt is not None:
        _settle(attempt.holds.pop(key, []), usage)


def charge_open_holds(attempt: Attempt) -> None:
    """Charge the calls that never reported back: cancelled ones and those of a node left behind."""
    while attempt.holds:
        _settle(attempt.holds.popitem()[1], None)


def _settle(holds: list[tuple[Attempt, Hold, Price | None]], usage: tuple[int, int] | None) -> None:
    for link, hold, price in holds:
        actual = hold.reserved if usage is None else _cost(*usage, price)
        if link.scope.ledger.settle(hold, actual):
            link.spent = link.spent + actual


def _cost(input_tokens: int, output_tokens: int, price: Price | None) -> Spent:
    per_input, per_output = price or (0.0, 0.0)
    dollars = (input_tokens * per_input + output_tokens * per_output) / 1_000_000
    return Spent(calls=1, input_tokens=input_tokens, output_tokens=output_tokens, dollars=dollars)


def _usage(response: LLMResult) -> tuple[int, int] | None:
    for generations in response.generations:
        for generation in generations:
            found = getattr(getattr(generation, "message", None), "usage_metadata", None)
            if found:
                return int(found.get("input_tokens", 0)), int(found.get("output_tokens", 0))
    return None


def _length(message: BaseMessage) -> int:
    content = message.content
    text = content if isinstance(content, str) else str(content)
    return len(text) + len(str(getattr(message, "tool_calls", None) or ""))


METER = Meter()
register_configure_hook(meter, inheritable=True)
