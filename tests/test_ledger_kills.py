"""Kill -9 at random moments under load: the sums stay exact and no hold is stuck (`bench.ledger_kills`: 200 times)."""

from bench.ledger_kills import run


def test_books_stay_exact_when_processes_are_killed_at_random(shared: str) -> None:
    found = run(kills=4, seed=7, name=shared)
    assert not found.faults
    assert found.seen <= found.booked <= found.budget and found.seen > 6
