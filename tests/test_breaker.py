"""The breaker's state machine, on a clock of its own."""

import pytest

from guards.calls.breaker import LEASE_SECONDS, MEMORY_SECONDS, Breaker, Row, Verdict, admitted, noted
from guards.errors import CircuitOpen

LIMITS = Breaker(failures=3, rate=0.5, window=8, least=4, seconds=30.0)


class Circuit:
    """A row and a clock that only the test moves."""

    def __init__(self, limits: Breaker = LIMITS) -> None:
        self.limits, self.row, self.now, self.tickets = limits, None, 1_000_000.0, 0
        self.row: Row | None

    def enter(self, lease: float = 20.0) -> str:
        self.tickets += 1
        self.row = admitted(self.row, "model 'm'", str(self.tickets), self.now, lease, self.limits)
        return str(self.tickets)

    def note(self, verdict: Verdict, ticket: str = "none") -> None:
        self.row = noted(self.row, verdict, ticket, self.now, self.limits)

    def calls(self, *verdicts: Verdict) -> None:
        for verdict in verdicts:
            self.note(verdict, self.enter())

    @property
    def is_open(self) -> bool:
        return bool(self.row and self.row["open"])


def opened(limits: Breaker = LIMITS) -> Circuit:
    circuit = Circuit(limits)
    circuit.calls(*["failed"] * limits.failures)
    assert circuit.is_open
    return circuit


def test_failures_in_a_row_open_it_and_say_when_it_is_probed() -> None:
    circuit = Circuit()
    circuit.calls("failed", "failed")
    assert not circuit.is_open
    circuit.calls("failed")
    circuit.now += 10
    with pytest.raises(
        CircuitOpen, match=r"^model 'm': circuit open: 3 failures in a row, next probe in 20 s$"
    ) as refused:
        circuit.enter()
    assert refused.value.seconds == 20


def test_a_success_between_failures_breaks_the_row() -> None:
    circuit = Circuit(Breaker(failures=3, rate=1.0))
    circuit.calls(*("failed", "failed", "ok") * 5)
    assert not circuit.is_open


def test_a_failure_rate_opens_it_though_no_row_is_long_enough() -> None:
    circuit = Circuit()
    circuit.calls("failed", "ok", "ok")
    assert not circuit.is_open, "three calls say nothing yet"
    circuit.calls("failed")
    with pytest.raises(CircuitOpen, match="2 of 4 calls failed"):
        circuit.enter()


def test_only_the_last_calls_count_for_the_rate() -> None:
    circuit = Circuit(Breaker(failures=5, rate=0.5, window=8, least=8))
    circuit.calls("failed", "failed", "failed", *["ok"] * 8)
    assert circuit.row is None, "eight successes later nothing is remembered"
    circuit.calls("failed", *["ok"] * 4, "failed", "failed")
    assert not circuit.is_open


def test_cancelled_calls_and_refusals_of_ours_say_nothing() -> None:
    circuit = Circuit()
    circuit.calls("failed", "failed", *["unknown"] * 20)
    assert not circuit.is_open
    circuit.calls("failed")
    assert circuit.is_open


def test_old_failures_are_forgotten() -> None:
    circuit = Circuit()
    circuit.calls("failed", "failed")
    circuit.now += MEMORY_SECONDS
    circuit.calls("failed", "failed")
    assert not circuit.is_open


@pytest.mark.parametrize("probes", [1, 3])
def test_half_open_lets_exactly_so_many_probes_through_and_closes_when_all_succeed(probes: int) -> None:
    circuit = opened(Breaker(failures=3, probes=probes))
    circuit.now += 30
    tickets = [circuit.enter() for _ in range(probes)]
    for ticket in tickets:
        with pytest.raises(CircuitOpen, match="a probe is on its way"):
            circuit.enter()
        assert circuit.is_open
        circuit.note("ok", ticket)
    assert circuit.row is None


def test_a_probe_that_fails_opens_it_again_for_as_long() -> None:
    circuit = opened()
    circuit.now += 30
    circuit.calls("failed")
    circuit.now += 29
    with pytest.raises(CircuitOpen, match="next probe in 1 s"):
        circuit.enter()
    circuit.now += 1
    circuit.calls("ok")
    assert circuit.row is None


def test_a_probe_that_is_cancelled_makes_room_for_another_at_once() -> None:
    circuit = opened()
    circuit.now += 30
    circuit.calls("unknown", "ok")
    assert circuit.row is None


def test_a_probe_whose_process_was_killed_blocks_no_longer_than_its_lease() -> None:
    circuit = opened()
    circuit.now += 30
    circuit.enter(lease=20)
    circuit.now += 19
    with pytest.raises(CircuitOpen):
        circuit.enter()
    circuit.now += 1
    circuit.calls("ok")
    assert circuit.row is None


def test_no_lease_is_longer_than_the_longest() -> None:
    circuit = opened()
    circuit.now += 30
    circuit.enter(lease=float("inf"))
    circuit.now += LEASE_SECONDS - 1
    with pytest.raises(CircuitOpen):
        circuit.enter()
    circuit.now += 1
    circuit.enter()


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    circuit = Circuit()
    early = circuit.enter()
    circuit.calls("failed", "failed", "failed")
    before = circuit.row
    circuit.note("ok", early)
    circuit.note("failed", early)
    assert circuit.row is before


def test_a_clock_that_was_set_back_keeps_nothing_shut() -> None:
    circuit = opened()
    circuit.now -= 100_000
    circuit.calls("ok")
    assert circuit.row is None


def test_who_opened_it_says_for_how_long() -> None:
    circuit = opened(Breaker(failures=3, seconds=300))
    circuit.limits, circuit.now = LIMITS, circuit.now + 299
    with pytest.raises(CircuitOpen, match="next probe in 1 s"):
        circuit.enter()


@pytest.mark.parametrize(
    "wrong", [{"failures": 0}, {"rate": 0}, {"rate": 1.1}, {"window": 3}, {"seconds": 0}, {"probes": 0}]
)
def test_thresholds_out_of_range_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"Breaker\({next(iter(wrong))}="):
        Breaker(**wrong)  # type: ignore[arg-type]
