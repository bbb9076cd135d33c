"""What is used plus what is held never passes a limit."""

import asyncio
import threading
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import keep_books_in

from guards import LimitReached, Limits, Policy
from guards.calls.calls import Call, NotMade, enter, leave, leave_open_calls
from guards.calls.gates import GATES
from guards.calls.together import Together
from guards.errors import PriceUnknown
from guards.ledger.accounts import Account, Held, held_of, reserving, settling, spent_of
from guards.ledger.amount import NOTHING, Amount, money, of_spent
from guards.ledger.ledger import LedgerGate, earlier, left, sweep
from guards.ledger.prices import price_of
from guards.running.attempt import Attempt
from guards.running.scope import Scope
from guards.stores.memory import MemoryStore
from state.guarded import Run, Spent

OFF = Policy(calls=None, tokens=None, dollars=None)
OFTEN = 1_000


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store that no other test has written to."""
    books = MemoryStore()
    keep_books_in(books, monkeypatch)
    return books


def attempt(policy: Policy, run: str = "r", node: str = "node", tenant: str = "", place: str = "node:1") -> Attempt:
    return Attempt(
        Scope(Run(id=run), "", policy, tenant), 30.0, None, node=node, place=place, limits=policy.per_attempt
    )


def call(of: Attempt, **more: Any) -> Call:
    facts: dict[str, Any] = {"input_tokens": 10, "output_tokens": 20, "price": (1.0, 4.5), "role": ""} | more
    return Call("model", "a-model", "openai", of, key=object(), **facts)


async def reserved(of: Attempt, **more: Any) -> Call:
    made = call(of, **more)
    await enter(made, GATES)
    return made


@pytest.mark.parametrize(
    ("policy", "limit"),
    [
        (OFF.but(calls=2), "calls"),
        (OFF.but(tokens=60), "tokens"),
        (OFF.but(input_tokens=20), "input_tokens"),
        (OFF.but(output_tokens=40), "output_tokens"),
        (OFF.but(dollars=0.0002), "dollars"),
        (OFF.but(per_attempt=Limits(calls=2)), "calls"),
        (OFF.but(per_attempt=Limits(dollars=0.0002)), "dollars"),
        (OFF.but(per_role={"node": Limits(tokens=60)}), "tokens"),
        (OFF.but(per_hour=Limits(calls=2)), "calls"),
        (OFF.but(per_day=Limits(output_tokens=40)), "output_tokens"),
        (OFF.but(per_tenant=Limits(dollars=0.0002)), "dollars"),
        (OFF.but(per_hour=Limits(seconds=60.0)), "seconds"),
    ],
)
async def test_the_call_that_would_pass_a_limit_is_refused_and_the_limit_is_named(policy: Policy, limit: str) -> None:
    ours = attempt(policy)
    for _ in range(2):
        await reserved(ours)
    with pytest.raises(LimitReached, match=f"{limit}.* is reached .*: .*{limit}=") as caught:
        await reserved(ours)
    assert caught.value.limit == limit
    assert len(ours.calls) == 2 and ours.scope.used.calls == 2


async def test_tool_calls_are_limited_and_cost_no_model_call() -> None:
    ours = attempt(OFF.but(tool_calls=1, calls=0))
    tool = Call("tool", "search", "search", ours)
    await enter(tool, GATES)
    leave(tool, None, None)
    with pytest.raises(LimitReached, match="limit of 1 tool_calls is reached"):
        await enter(Call("tool", "search", "search", ours), GATES)
    assert ours.spent == Spent(tool_calls=1)


async def test_what_one_account_refuses_is_set_aside_in_none(own_store: MemoryStore) -> None:
    ours = attempt(OFF.but(per_tenant=Limits(calls=0)))
    with pytest.raises(LimitReached, match="a day for this tenant"):
        await reserved(ours)
    assert ours.held == NOTHING and not [key for key in own_store._rows if not key.startswith("audit:")]


async def test_settling_gives_back_what_was_not_used() -> None:
    ours = attempt(OFF.but(tokens=40))
    leave(await reserved(ours), None, (1, 1))
    await reserved(ours)
    assert ours.spent.calls == 1 and ours.held.calls == 1


async def test_a_call_is_settled_once(own_store: MemoryStore) -> None:
    ours = attempt(OFF)
    made = await reserved(ours)
    leave(made, None, (1, 1))
    leave(made, None, None)
    assert ours.spent.input_tokens == 1 and ours.held == NOTHING
    assert spent_of(own_store._rows["run:r"]).calls == 1 and held_of(own_store._rows["run:r"]) == NOTHING


async def test_a_call_that_nobody_reports_is_charged_as_it_was_reserved() -> None:
    ours = attempt(OFF)
    await reserved(ours)
    leave_open_calls(ours)
    assert (ours.spent.input_tokens, ours.spent.output_tokens, ours.spent.dollars) == (10, 20, 0.0001)


async def test_a_call_that_was_not_made_costs_nothing_and_an_error_reply_costs_a_call() -> None:
    class Refusal(Exception):
        status_code = 429

    ours = attempt(OFF)
    leave(await reserved(ours), NotMade("no"), None)
    assert ours.spent == Spent()
    leave(await reserved(ours), Refusal(), None)
    assert ours.spent == Spent(calls=1)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans()), max_size=60), st.integers(0, 200))
def test_used_plus_held_never_passes_the_limit(calls: list[tuple[int, int, bool]], allowed: int) -> None:
    row: dict[str, Any] | None = None
    for most, used, settles in calls:
        account = Account("a", Amount(1, most), None, 0.0, limits=[Held(Limits(tokens=allowed))])
        try:
            rows = reserving("h", [account], 1.0)({"a": row, "h": None})
        except LimitReached:
            continue
        if settles:
            rows = settling("h", {"a": Amount(1, min(used, most))})(rows)
        row = rows["a"]
        assert spent_of(row).input_tokens + held_of(row).input_tokens <= allowed


def test_threads_that_race_for_the_last_calls_get_no_more_than_there_are() -> None:
    ours, got, barrier = attempt(OFF.but(calls=50)), [], threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        for _ in range(20):
            try:
                got.append(asyncio.run(reserved(ours)))
            except LimitReached:
                return

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 50


async def test_roles_hours_and_tenants_are_counted_apart() -> None:
    policy = OFF.but(per_role={"writer": Limits(calls=1)}, per_tenant=Limits(calls=2))
    await reserved(attempt(policy, run="1", tenant="a"), role="writer")
    await reserved(attempt(policy, run="2", node="writer", tenant="a"))
    await reserved(attempt(policy, run="3", tenant="b"))
    with pytest.raises(LimitReached, match="for 'writer'"):
        await reserved(attempt(policy, run="1", tenant="b"), role="writer")
    with pytest.raises(LimitReached, match="tenant"):
        await reserved(attempt(policy, run="4", tenant="a"))


async def test_no_name_of_a_tenant_is_kept(own_store: MemoryStore) -> None:
    await reserved(attempt(OFF, tenant="ann@example.org"))
    assert "ann@" not in str(own_store._rows)


async def test_a_sub_agents_call_counts_once_an_hour_and_in_every_run_around_it(own_store: MemoryStore) -> None:
    outer = attempt(OFF.but(calls=1), run="outer")
    inner = attempt(OFF.but(calls=5), run="inner")
    inner.parent = outer
    leave(await reserved(inner), None, (1, 1))
    (hour,) = [row for key, row in own_store._rows.items() if key.startswith("hour:")]
    assert spent_of(hour).calls == 1 == inner.spent.calls == outer.spent.calls
    with pytest.raises(LimitReached, match="limit of 1 calls"):
        await reserved(inner)
    assert inner.held == NOTHING


async def test_an_open_lease_is_no_charge_and_one_that_is_over_becomes_one(
    own_store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, now = attempt(OFF), time.time()
    made = await reserved(ours)
    await sweep(own_store)
    assert held_of(own_store._rows["run:r"]).calls == 1
    monkeypatch.setattr(time, "time", lambda: now + 200)
    await sweep(own_store)
    row = own_store._rows["run:r"]
    assert held_of(row) == NOTHING and spent_of(row).output_tokens == 20
    leave(made, None, (1, 1))
    assert spent_of(own_store._rows["run:r"]) == spent_of(row)


async def test_history_ends(own_store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    leave(await reserved(attempt(OFF, tenant="a")), None, (1, 1))
    for days, kept in ((1, {"run", "task", "hour", "day", "tenant"}), (8, {"day", "tenant"}), (70, set[str]())):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86_400)
        await sweep(own_store)
        assert {key.partition(":")[0] for key in own_store._rows} == kept


async def test_a_task_that_runs_again_goes_on_in_its_own_accounts(own_store: MemoryStore) -> None:
    first = attempt(OFF.but(calls=3))
    leave(await reserved(first), None, (1, 1))
    await reserved(first)  # its process dies here
    again = attempt(OFF.but(calls=3))
    before = await earlier(again.scope, again.place)
    assert (before.calls, before.output_tokens) == (2, 21)
    await reserved(again)
    with pytest.raises(LimitReached, match="limit of 3 calls"):
        await reserved(again)
    assert (await earlier(again.scope, "another:2")) == Spent()


async def test_a_run_goes_on_with_what_its_record_knows_when_the_store_knows_less() -> None:
    ours = attempt(OFF.but(calls=3))
    ours.scope.known = of_spent(Spent(calls=2))
    await reserved(ours)
    with pytest.raises(LimitReached, match="4 with the next call"):
        await reserved(ours)


async def test_what_is_left_of_the_shared_windows_can_be_asked_before_a_run() -> None:
    policy = OFF.but(per_hour=Limits(calls=5), per_tenant=Limits(dollars=1.0))
    leave(await reserved(attempt(policy, tenant="a")), None, (10, 20))
    assert await left(policy, "a") == [("calls", "an hour", 4), ("dollars", "a day for this tenant", 0.9999)]
    assert {name: much for name, _, much in await left(policy, "b")} == {"calls": 4, "dollars": 1.0}


async def test_a_call_that_is_cancelled_while_the_store_works_leaves_no_hold() -> None:
    books = MemoryStore()
    begun, done = asyncio.Event(), books.change

    async def slow(keys: Any, decide: Any) -> Any:
        await done(keys, decide)
        begun.set()
        await asyncio.Event().wait()

    ours = attempt(OFF)
    books.change = slow  # type: ignore[method-assign]
    gate = LedgerGate()
    gate._swept = float("inf")
    task = asyncio.create_task(Together(lambda: books, gate).enter(call(ours)))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert held_of(books._rows["run:r"]) == NOTHING == ours.held


async def test_late_calls_of_a_node_whose_time_is_over_are_not_made() -> None:
    ours = attempt(OFF)
    ours.open = False
    with pytest.raises(Exception, match="time is over"):
        await reserved(ours)
    assert not ours.calls and ours.held == NOTHING


def test_money_is_exact_and_rounded_up() -> None:
    assert money((3, 0), (0.15, 0.6)) == 450
    assert money((1, 0), (0.0001, 0)) == 1
    assert Amount(nanodollars=money((1, 1), (2.5, 10.0)) * OFTEN).spent().dollars == 0.0125


def test_a_stated_price_goes_before_the_models_own_and_the_table() -> None:
    assert price_of("gpt-4o-mini", {"gpt-4o-mini": (1, 2)}, (3, 4)) == (1, 2)
    assert price_of("gpt-4o-mini", {}, (3, 4)) == (3, 4)
    table = price_of("gpt-4o-mini", {})
    assert table is not None and 0 < table[0] < table[1] < 10


@pytest.mark.parametrize(
    "policy",
    [OFF.but(dollars=1.0), OFF.but(per_day=Limits(dollars=1)), OFF.but(per_role={"node": Limits(dollars=1)})],
)
async def test_an_unknown_price_is_refused_wherever_money_is_limited(policy: Policy) -> None:
    assert price_of("no-such-model", {}) is None
    with pytest.raises(PriceUnknown, match="INTERLOCK_PRICE"):
        await reserved(attempt(policy), price=None)
    await reserved(attempt(OFF), price=None)


def test_a_limit_below_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="tool_calls=-1"):
        Limits(tool_calls=-1)
    with pytest.raises(ValueError, match="input_tokens=-1"):
        Policy(input_tokens=-1)


@pytest.mark.parametrize("wrong", [{"per_hour": None}, {"per_attempt": 5}, {"per_role": {"writer": 5}}])
def test_what_is_no_limits_record_is_refused_when_the_policy_is_made(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"give Limits\(\.\.\.\)"):
        Policy(**wrong)
