"""The cap on calls in flight."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from call_kit import at_once, call, now

from guards import Policy
from guards.calls.in_flight import InFlightGate

TWO = Policy(calls_in_flight=2)


def test_no_more_calls_are_open_than_the_cap_and_all_are_served_in_order() -> None:
    async def work() -> None:
        gate, open_now, most, order = InFlightGate(), 0, 0, []
        order: list[int]

        async def one(number: int) -> None:
            nonlocal open_now, most
            mine = call(TWO)
            await gate.enter(mine)
            order.append(number)
            open_now += 1
            most = max(most, open_now)
            await asyncio.sleep(1)
            open_now -= 1
            gate.leave(mine, None, None)

        await asyncio.gather(*map(one, range(20)))
        assert most == 2 and order == list(range(20))

    at_once(work)


def test_each_provider_has_places_of_its_own_and_tools_need_none() -> None:
    async def work() -> None:
        gate = InFlightGate()
        for provider in ("a#1", "a#2", "b#1"):
            for _ in range(2):
                await gate.enter(call(TWO, provider=provider))
        for _ in range(5):
            await gate.enter(call(TWO, kind="tool"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await gate.enter(call(TWO, provider="a#1"))

    at_once(work)


def test_a_waiter_that_is_cancelled_holds_nothing() -> None:
    async def work() -> None:
        gate, one = InFlightGate(), Policy(calls_in_flight=1)
        first = call(one)
        await gate.enter(first)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await gate.enter(call(one))
        gate.leave(first, None, None)
        began = now()
        await gate.enter(call(one))
        assert now() == began

    at_once(work)


def test_threads_and_their_loops_share_one_cap() -> None:
    gate, seen = InFlightGate(), Counter[str]()

    async def one() -> None:
        mine = call(TWO, seconds=20)
        await gate.enter(mine)
        seen["most"] = max(seen["most"], gate._open["p#1"])
        await asyncio.sleep(0)
        gate.leave(mine, None, None)
        seen["served"] += 1

    async def work() -> None:
        await asyncio.gather(*(one() for _ in range(20)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: asyncio.run(work()), range(4)))
    assert seen["most"] <= 2 and gate._open["p#1"] == 0 and seen["served"] == 80
