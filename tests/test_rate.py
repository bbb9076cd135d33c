"""The rate limit's arithmetic, on a clock of its own."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guards.calls.provider import provider_key, provider_of
from guards.calls.rate import (
    LONGEST_PAUSE,
    MINUTE,
    SLICE_SECONDS,
    Ask,
    Rate,
    Row,
    corrected,
    seconds_of,
    taken,
    told,
    turn,
)

NOW = 1_000_000.0
ONE = Ask(1, 100)


def full(rate: Rate, ask: Ask = ONE) -> Row:
    """A row with room for no other such call at `NOW`."""
    row: Row | None = None
    while turn(row, ask, NOW, rate).at <= NOW:
        row = taken(row, ask, NOW)
    assert row is not None
    return row


def test_a_whole_minutes_worth_goes_at_once_and_the_next_when_the_first_is_a_minute_old() -> None:
    row = full(Rate(requests=5))
    found = turn(row, ONE, NOW, Rate(requests=5))
    assert sum(entry[1] for entry in row["slices"]) == 5
    assert NOW + MINUTE < found.at <= NOW + MINUTE + SLICE_SECONDS and "5 requests a minute" in found.why
    assert turn(row, ONE, found.at, Rate(requests=5)).at == found.at


def test_tokens_are_limited_beside_requests() -> None:
    row = full(Rate(requests=1_000, tokens=1_000))
    assert sum(entry[1] for entry in row["slices"]) == 10
    assert "1,000 tokens a minute" in turn(row, ONE, NOW, Rate(tokens=1_000)).why


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(100, 2_000))
def test_in_no_minute_is_there_more_than_the_limits(seed: int, requests: int, tokens: int) -> None:
    draw, rate, now, row = random.Random(seed), Rate(requests, tokens), NOW, None
    let_through: list[tuple[float, int]] = []
    for _ in range(150):
        now += draw.expovariate(0.5)
        ask = Ask(1, draw.randint(1, 100))
        if turn(row, ask, now, rate).at <= now:
            row = taken(row, ask, now)
            let_through.append((now, ask.tokens))
    for start, _ in let_through:
        window = [used for at, used in let_through if start <= at < start + MINUTE]
        assert len(window) <= requests and sum(window) <= tokens


def test_what_was_reserved_in_vain_is_given_back() -> None:
    rate = Rate(requests=2, tokens=200)
    row = full(rate)
    assert turn(corrected(row, ONE, NOW, Ask(1, 20), NOW + 1), Ask(1, 80), NOW + 1, Rate(tokens=200)).at == NOW + 1
    assert turn(corrected(row, ONE, NOW, Ask(0, 0), NOW + 1), ONE, NOW + 1, rate).at == NOW + 1


def test_what_was_used_beyond_the_estimate_counts() -> None:
    row = corrected(taken(None, ONE, NOW), ONE, NOW, Ask(1, 250), NOW + 1)
    assert turn(row, ONE, NOW + 1, Rate(tokens=300)).at > NOW + MINUTE


def test_those_ahead_are_counted_and_more_than_a_minutes_worth_takes_more_minutes() -> None:
    rate = Rate(requests=5)
    row = full(rate)
    assert turn(row, Ask(5, 0), NOW, rate).at < NOW + 2 * MINUTE < turn(row, Ask(6, 0), NOW, rate).at


def test_retry_after_stops_the_key_for_everybody() -> None:
    row = told(None, {"retry-after": "60"}, NOW, 429)
    found = turn(row, ONE, NOW + 10, Rate())
    assert found.at == NOW + 60 and "Retry-After" in found.why
    assert turn(row, ONE, NOW + 60, Rate()).at == NOW + 60
    shorter = told(row, {"retry-after": "1"}, NOW, 429)
    assert shorter is row, "a shorter wait does not undo a longer one"


def test_no_provider_stops_a_key_for_longer_than_an_hour() -> None:
    row = told(None, {"retry-after": "999999999"}, NOW, 429)
    assert turn(row, ONE, NOW, Rate()).at == NOW + LONGEST_PAUSE


@pytest.mark.parametrize("kind", ["requests", "tokens"])
def test_what_the_provider_has_left_is_used_and_its_reset_waited_for(kind: str) -> None:
    headers = {f"x-ratelimit-remaining-{kind}": "200", f"x-ratelimit-reset-{kind}": "30s"}
    row = told(None, headers | {f"x-ratelimit-limit-{kind}": "1000"}, NOW)
    ask = Ask(100, 100)
    for _ in range(2):
        assert turn(row, ask, NOW, Rate()).at == NOW
        row = taken(row, ask, NOW)
    found = turn(row, ask, NOW, Rate())
    assert found.at == NOW + 30 and f"0 {kind} left" in found.why
    assert turn(row, ask, NOW + 30, Rate()).at == NOW + 30


def test_an_answer_that_is_late_gives_nothing_back() -> None:
    headers = {"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "30"}
    row = taken(told(None, headers, NOW), Ask(2, 0), NOW)
    again = told(row, headers, NOW + 1)
    assert turn(again, Ask(2, 0), NOW + 1, Rate()).at == NOW + 30


def test_a_provider_with_plenty_left_is_not_written_down() -> None:
    headers = {
        "x-ratelimit-limit-requests": "500",
        "x-ratelimit-remaining-requests": "499",
        "x-ratelimit-reset-requests": "120ms",
    }
    assert told(None, headers, NOW) is None and told(None, {}, NOW) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12", 12.0),
        ("7.66s", 7.66),
        ("6m0s", 360.0),
        ("17ms", 0.017),
        ("2m59.56s", 179.56),
        ("1d2h", 93_600.0),
        (str(int(NOW * 2_000)), NOW * 1_999),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("nan", None),
        ("1e999", None),
        ("9" * 1_000 + "s", None),
    ],
)
def test_headers_say_times_in_many_ways(text: str, seconds: float | None) -> None:
    found = seconds_of(text, NOW)
    assert found is None if seconds is None else found == pytest.approx(seconds)


def test_a_clock_that_was_set_back_keeps_nobody_waiting() -> None:
    row = told(full(Rate(requests=5)), {"retry-after": "60"}, NOW, 429)
    assert turn(row, ONE, NOW - 100_000, Rate(requests=5)).at == NOW - 100_000


def test_a_row_stays_small() -> None:
    row: Row | None = None
    for step in range(10_000):
        row = taken(row, ONE, NOW + step * 0.1)
    assert row is not None and len(row["slices"]) <= MINUTE / SLICE_SECONDS + 2


def test_a_provider_key_tells_keys_apart_and_shows_none() -> None:
    first, second = (provider_key("https://api.example.com/v1", secret) for secret in ("sk-one", "sk-two"))
    assert first != second and first.startswith("api.example.com#") and "sk-" not in first + second
    assert first == provider_key("https://user:sk-one@API.example.com/v1/chat/completions", "sk-one")


def test_a_plain_model_counts_against_its_server_and_the_key_in_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-one")
    secret = {"lc": 1, "type": "secret", "id": ["SOME_KEY"]}
    made = {"kwargs": {"base": "https://api.example.com/v1", "key": secret}}
    assert provider_of(made, {"ls_provider": "some"}) == provider_key("https://api.example.com", "sk-one")
    assert provider_of({"kwargs": {"key": secret}}, {"ls_provider": "some"}) == provider_key("some", "sk-one")
    assert provider_of(None, {}) == provider_key("unknown", "")
    assert provider_of(made, {"interlock_provider": "mine"}) == "mine"
