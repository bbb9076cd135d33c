"""What is used plus what is held never passes a limit."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guards import LimitReached, Policy
from guards.errors import PriceUnknown
from guards.ledger import Ledger
from guards.prices import price_of
from state.guarded import Spent

CALL = Spent(calls=1, input_tokens=10, output_tokens=20, dollars=0.1)


@pytest.mark.parametrize(
    ("policy", "limit"), [(Policy(calls=2), "calls"), (Policy(tokens=60), "tokens"), (Policy(dollars=0.2), "dollars")]
)
def test_the_call_that_would_pass_a_limit_is_refused_and_the_limit_is_named(policy: Policy, limit: str) -> None:
    ledger = Ledger(policy)
    ledger.reserve(CALL)
    ledger.reserve(CALL)
    with pytest.raises(LimitReached, match=f"{limit} is reached") as caught:
        ledger.reserve(CALL)
    assert caught.value.limit == limit


def test_settling_gives_back_what_was_not_used() -> None:
    ledger = Ledger(Policy(tokens=40))
    hold = ledger.reserve(CALL)
    ledger.settle(hold, Spent(calls=1, input_tokens=1, output_tokens=1))
    ledger.reserve(CALL)
    assert ledger.spent.calls == 1 and ledger.held.calls == 1


def test_a_hold_is_settled_once() -> None:
    ledger = Ledger(Policy())
    hold = ledger.reserve(CALL)
    assert ledger.settle(hold, CALL) and not ledger.settle(hold, CALL)
    assert ledger.spent == CALL and ledger.held.calls == 0


def test_a_limit_that_is_off_refuses_nothing() -> None:
    ledger = Ledger(Policy(calls=None, tokens=None, dollars=None))
    for _ in range(1000):
        ledger.reserve(CALL)
    assert ledger.held.calls == 1000


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), st.booleans()), max_size=60), st.integers(0, 200))
def test_used_plus_held_never_passes_the_limit(calls: list[tuple[int, int, bool]], allowed: int) -> None:
    ledger = Ledger(Policy(tokens=allowed, calls=None, dollars=None))
    for most, used, settles in calls:
        try:
            hold = ledger.reserve(Spent(calls=1, input_tokens=most))
        except LimitReached:
            continue
        if settles:
            ledger.settle(hold, Spent(calls=1, input_tokens=min(used, most)))
        assert ledger.spent.input_tokens + ledger.held.input_tokens <= allowed


def test_threads_that_race_for_the_last_calls_get_no_more_than_there_are() -> None:
    ledger, got, barrier = Ledger(Policy(calls=50, tokens=None, dollars=None)), [], threading.Barrier(8)

    def race() -> None:
        barrier.wait()
        for _ in range(20):
            try:
                got.append(ledger.reserve(CALL))
            except LimitReached:
                return

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 50


def test_a_stated_price_goes_before_the_models_own_and_the_table() -> None:
    assert price_of("gpt-4o-mini", {"gpt-4o-mini": (1, 2)}, (3, 4)) == (1, 2)
    assert price_of("gpt-4o-mini", {}, (3, 4)) == (3, 4)
    table = price_of("gpt-4o-mini", {})
    assert table is not None and 0 < table[0] < table[1] < 10


def test_an_unknown_price_is_no_price_and_its_error_names_the_cure() -> None:
    assert price_of("no-such-model", {}) is None
    assert "INTERLOCK_PRICE" in str(PriceUnknown("no-such-model"))
