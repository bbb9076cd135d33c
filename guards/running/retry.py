"""Retry: which failures are worth another attempt, and how long to wait. The only floor that retries.

SDK clients are made with `max_retries=0`, because counts multiply. The waiting is tenacity's; a Retry-After is obeyed
where it fits into the attempt's time-out and the run's deadline, else the node gives up at once.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from guards.errors import Permanent, Refused, Stopped, Transient

TRANSIENT_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
_NO_USE = ("insufficient_quota", "billing_hard_limit_reached")


def is_transient(error: BaseException) -> bool:
    """Whether another attempt may mend it: time-outs, 408/429/5xx, resets; never refusals, limits or bad requests."""
    if isinstance(error, (Permanent, Refused, Stopped)) or getattr(error, "code", None) in _NO_USE:
        return False
    if isinstance(error, (Transient, TimeoutError, ConnectionError)):
        return True
    status = status_of(error)
    if status is not None:
        return status in TRANSIENT_STATUS
    verdict = getattr(error, "is_retryable", None)
    return bool(verdict) if verdict is not None else _is_transport_error(error)


def retry_after(error: BaseException | None) -> float | None:
    """Seconds that the other side asked to wait, if it did (only the seconds form of the header)."""
    stated = getattr(error, "retry_after", None)
    if isinstance(stated, (int, float)):
        return max(0.0, float(stated))
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


async def again(
    work: Callable[[], Awaitable[Any]], first: BaseException, attempts: int, patience: Callable[[], float]
) -> Any:
    """Try again after a first failure.

    Args:
        work: One attempt.
        first: What the first attempt raised.
        attempts: Attempts in all, the first included.
        patience: Seconds that may be waited now; a longer wait is not begun and the last error is raised.
    """
    from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

    backoff = wait_random_exponential(FIRST_WAIT_SECONDS, max=LONGEST_WAIT_SECONDS)
    # The first attempt was made outside, where a run that goes well does not pay for any of this.
    made: list[BaseException] = [first]

    def wait(state: RetryCallState) -> float:
        asked = retry_after(_error(state))
        return backoff(state) if asked is None else asked

    def enough(state: RetryCallState) -> bool:
        hopeless = not is_transient(_error(state)) or state.upcoming_sleep >= patience()
        return hopeless or stop_after_attempt(attempts)(state)

    async def step() -> Any:
        if made:
            raise made.pop()
        return await work()

    retrying = AsyncRetrying(wait=wait, stop=enough, retry=retry_if_exception(is_transient), reraise=True)
    return await retrying(step)


def _error(state: Any) -> BaseException:
    return state.outcome.exception()  # type: ignore[no-any-return]


def status_of(error: BaseException | None) -> int | None:
    """The HTTP status that an error carries, if it does."""
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _is_transport_error(error: BaseException) -> bool:
    """HTTP clients' own errors by name, so that no client has to be imported here."""
    return any(kind.__name__ in ("TransportError", "ProtocolError") for kind in type(error).__mro__)
