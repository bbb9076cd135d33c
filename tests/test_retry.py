"""Only transient failures are tried again, on one floor, and never longer than the run has left."""

import time
from typing import Any

import pytest
from kit import LOOSE, Log, Written, chain, named, says

from guards import LimitReached, Permanent, Refused, TimedOut, Transient, fallback, guard
from guards.running.retry import is_transient, retry_after


class Reply(Exception):
    """An error of an HTTP client, as the SDKs raise them."""

    def __init__(self, status: int, headers: dict[str, str] | None = None, code: str | None = None) -> None:
        self.status_code = status
        self.code = code
        self.response = type("Response", (), {"headers": headers or {}, "status_code": status})()


@pytest.mark.parametrize("error", [Transient("x"), TimedOut("attempt", 1), TimeoutError(), ConnectionResetError()])
def test_time_outs_and_resets_are_transient(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_overload_and_server_faults_are_transient(status: int) -> None:
    assert is_transient(Reply(status))


@pytest.mark.parametrize(
    "error",
    [
        *(Reply(400), Reply(401), Reply(404), Reply(429, code="insufficient_quota"), ValueError()),
        *(Permanent("x"), Refused("x"), LimitReached("calls", 2, 1)),
    ],
)
def test_bad_requests_refusals_and_limits_are_permanent(error: Exception) -> None:
    assert not is_transient(error)


def test_retry_after_is_read_from_the_reply() -> None:
    assert retry_after(Reply(429, {"retry-after": "7"})) == 7
    assert retry_after(Reply(429, {"retry-after": "Wed, 21 Oct"})) is None
    assert retry_after(Transient("x", retry_after=2)) == 2
    assert retry_after(ValueError()) is None


def flaky(failures: int, error: Any) -> tuple[Any, list[float]]:
    calls: list[float] = []

    async def node(state: Log) -> Written:
        calls.append(time.monotonic())
        if len(calls) <= failures:
            raise error
        return {"log": ["node"]}

    return named("node", node), calls


async def run(node: Any, **limits: Any) -> Any:
    return await guard(chain(fallback(node, says("plain"))), LOOSE.but(**limits)).ainvoke({"log": []})


@pytest.mark.parametrize(("attempts", "expected"), [(1, 1), (2, 2), (3, 3)])
async def test_attempts_count_the_first_call(attempts: int, expected: int) -> None:
    node, calls = flaky(99, Transient("x", retry_after=0))
    assert (await run(node, attempts=attempts))["log"] == ["plain"]
    assert len(calls) == expected


async def test_a_transient_failure_is_mended_and_the_run_is_complete() -> None:
    node, calls = flaky(1, Transient("x", retry_after=0))
    result = await run(node, attempts=2)
    assert result["log"] == ["node"] and result["run"].outcome == "complete" and len(calls) == 2


async def test_a_permanent_failure_is_not_tried_again() -> None:
    node, calls = flaky(1, ValueError("x"))
    await run(node, attempts=3)
    assert len(calls) == 1


async def test_a_second_failure_that_is_permanent_ends_the_attempts() -> None:
    calls: list[int] = []

    async def node(state: Log) -> Written:
        calls.append(1)
        raise Transient("x", retry_after=0) if len(calls) == 1 else ValueError("x")

    result = await run(named("node", node), attempts=5)
    assert len(calls) == 2 and "ValueError" in result["run"].stop_reason


async def test_retry_after_is_waited_for() -> None:
    node, calls = flaky(1, Transient("x", retry_after=0.2))
    await run(node, attempts=2)
    assert calls[1] - calls[0] >= 0.2


@pytest.mark.parametrize("limits", [{"timeout": 0.5}, {"seconds": 0.5}])
async def test_a_retry_after_longer_than_there_is_time_gives_up_at_once(limits: Any) -> None:
    node, calls = flaky(1, Transient("x", retry_after=60))
    began = time.monotonic()
    result = await run(node, attempts=2, **limits)
    assert time.monotonic() - began < 1 and len(calls) == 1 and result["log"] == ["plain"]
