"""Waiting for a provider's rate: in order, within the deadline, for all event loops and threads at once."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from call_kit import START, NotMade, at_once, call, now, settled

from guards import Policy
from guards.calls.rate import MINUTE, SLICE_SECONDS
from guards.calls.rate_gate import RateGate
from guards.errors import RateLimited
from guards.stores import Decide, Rows
from guards.stores.memory import MemoryStore

TEN = Policy(requests_per_minute=10)


def gate(store: MemoryStore | None = None) -> RateGate:
    kept = store or MemoryStore()
    return RateGate(lambda: kept, now)


class Refusal(Exception):
    """A client's error with the provider's reply."""

    def __init__(self, status: int, **headers: str) -> None:
        super().__init__(status)
        self.status_code = status
        self.response = type("Reply", (), {"headers": {k.replace("_", "-"): v for k, v in headers.items()}})()


def test_fifty_waiters_are_served_in_the_order_of_their_coming() -> None:
    async def work() -> None:
        served: list[tuple[int, float]] = []
        rate = gate()

        async def one(number: int) -> None:
            await rate.enter(call(TEN))
            served.append((number, now() - START))

        await asyncio.gather(*map(one, range(50)))
        assert [number for number, _ in served] == list(range(50))
        for place, (_, at) in enumerate(served):
            minutes = place // 10
            assert minutes * MINUTE <= at <= minutes * (MINUTE + SLICE_SECONDS)

    at_once(work)


def test_what_has_no_room_before_its_deadline_is_refused_at_once_and_the_others_wait() -> None:
    async def work() -> None:
        rate = gate()
        results = await settled(*(rate.enter(call(TEN, seconds=70)) for _ in range(25)))
        assert [isinstance(result, RateLimited) for result in results] == [False] * 20 + [True] * 5

        began = now()
        with pytest.raises(RateLimited, match="the limit of 10 requests a minute") as refused:
            await rate.enter(call(TEN, seconds=5))
        assert now() == began and refused.value.retry_after is not None and refused.value.retry_after > 5

    at_once(work)


def test_a_retry_after_of_a_minute_refuses_calls_with_ten_seconds_at_once_those_that_wait_too() -> None:
    async def work() -> None:
        rate, policy = gate(), Policy()
        speaker = call(policy)
        await rate.enter(speaker)
        rate.leave(speaker, Refusal(429, retry_after="20"), None)
        waiting = [asyncio.ensure_future(rate.enter(call(policy, seconds=30))) for _ in range(5)]
        patient = asyncio.ensure_future(rate.enter(call(policy)))
        await asyncio.sleep(1)
        assert not any(task.done() for task in waiting)

        began = now()
        rate.hear("p#1", {"retry-after": "60"}, 429)
        results = await settled(*waiting)
        assert all(isinstance(result, RateLimited) for result in results) and now() == began
        with pytest.raises(RateLimited, match=r"^provider p: the provider asked to wait \(Retry-After\)"):
            await rate.enter(call(policy, seconds=10))
        assert now() == began
        await patient
        assert now() - began == pytest.approx(60)

    at_once(work)


def test_another_key_does_not_wait() -> None:
    async def work() -> None:
        rate = gate()
        rate.hear("p#1", {"retry-after": "60"}, 429)
        await rate.enter(call(Policy(), provider="p#2", seconds=1))
        assert now() == START

    at_once(work)


class Asked(MemoryStore):
    """A store that counts the changes, each of which takes a moment."""

    changes = 0

    async def change(self, keys: Sequence[str], decide: Decide) -> Rows:
        self.changes += 1
        await asyncio.sleep(0.1)
        return await super().change(keys, decide)


def test_of_two_hundred_that_come_at_once_one_looks_whether_the_provider_asked_for_anything() -> None:
    async def work() -> None:
        store = Asked()
        rate = gate(store)
        await asyncio.gather(*(rate.enter(call(Policy())) for _ in range(200)))
        assert store.changes == 1
        await asyncio.sleep(1)
        rate.hear("p#1", {"retry-after": "60"}, 429)
        refused = await settled(*(gate(store).enter(call(Policy(), seconds=30)) for _ in range(3)))
        assert all(isinstance(each, RateLimited) for each in refused)

    at_once(work)


def test_those_who_wait_for_the_look_are_refused_as_soon_as_it_finds_a_pause() -> None:
    async def work() -> None:
        store = Asked()
        gate(store).hear("p#1", {"retry-after": "60"}, 429)
        began, rate = now(), gate(store)
        ends = await settled(*(rate.enter(call(Policy(), seconds=30)) for _ in range(50)))
        assert all(isinstance(each, RateLimited) for each in ends) and now() - began < 1

    at_once(work)


def test_what_another_process_was_told_is_known_within_a_second() -> None:
    async def work() -> None:
        store = MemoryStore()
        ours, theirs = gate(store), gate(store)
        await ours.enter(call(Policy(), seconds=5))
        theirs.hear("p#1", {"retry-after": "60"}, 429)
        await asyncio.sleep(1)
        with pytest.raises(RateLimited):
            await ours.enter(call(Policy(), seconds=5))

    at_once(work)


def test_two_processes_together_keep_the_limit() -> None:
    async def work() -> None:
        store = MemoryStore()
        gates = [gate(store), gate(store)]
        results = await settled(*(gates[n % 2].enter(call(TEN, seconds=30)) for n in range(30)))
        assert sum(result is None for result in results) == 10

    at_once(work)


def test_tokens_that_were_not_used_let_the_next_one_go() -> None:
    async def work() -> None:
        rate, policy = gate(), Policy(tokens_per_minute=1_000)
        first = call(policy, input_tokens=100, output_tokens=900)
        await rate.enter(first)
        second = asyncio.ensure_future(rate.enter(call(policy, input_tokens=100, output_tokens=500)))
        await asyncio.sleep(3)
        assert not second.done()
        rate.leave(first, None, (100, 50))
        await second
        assert now() - START < 3.5

    at_once(work)


def test_a_call_that_a_later_gate_refused_takes_nothing() -> None:
    async def work() -> None:
        rate, policy = gate(), Policy(requests_per_minute=1)
        for _ in range(5):
            one = call(policy, seconds=1)
            await rate.enter(one)
            rate.leave(one, NotMade("no"), None)
        assert now() == START

    at_once(work)


def test_a_call_larger_than_a_minutes_worth_waits_for_a_whole_minute_and_goes() -> None:
    async def work() -> None:
        rate, policy = gate(), Policy(tokens_per_minute=1_000)
        await rate.enter(call(policy, input_tokens=10))
        await rate.enter(call(policy, input_tokens=50_000))
        assert MINUTE < now() - START <= MINUTE + SLICE_SECONDS

    at_once(work)


def test_a_waiter_that_is_cancelled_leaves_its_place_to_the_next() -> None:
    async def work() -> None:
        rate = gate()
        tasks = [asyncio.ensure_future(rate.enter(call(TEN))) for _ in range(12)]
        await asyncio.sleep(1)
        tasks[10].cancel()
        await settled(tasks[11])
        assert tasks[10].cancelled() and now() - START <= MINUTE + SLICE_SECONDS

    at_once(work)


def test_one_limiter_serves_several_threads_and_event_loops() -> None:
    kept, served, lock = MemoryStore(), [], threading.Lock()
    rate = RateGate(lambda: kept)
    policy = Policy(tokens_per_minute=100)
    served: list[int]

    def thread(number: int) -> None:
        async def work() -> None:
            async def one() -> None:
                mine = call(policy, seconds=20, input_tokens=60)
                await rate.enter(mine)
                with lock:
                    served.append(number)
                rate.leave(mine, None, (0, 0))

            await asyncio.gather(*(one() for _ in range(20)))

        asyncio.run(work())

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(thread, range(5)))
    assert sorted(served) == sorted([*range(5)] * 20)


def test_a_loop_that_was_closed_with_a_wait_open_does_not_stop_the_line() -> None:
    kept = MemoryStore()
    rate, policy = RateGate(lambda: kept), Policy(requests_per_minute=1)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(rate.enter(call(policy, clock=loop.time)))
    lost: Any = loop.create_task(rate.enter(call(policy, clock=loop.time)))
    for _ in range(5):
        loop.run_until_complete(asyncio.sleep(0))
    assert not lost.done()
    loop.close()

    async def work() -> None:
        kept._rows.clear()
        await rate.enter(call(policy, seconds=5))

    asyncio.run(work())
    lost._log_destroy_pending = False
