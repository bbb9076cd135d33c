"""Whatever a stranger's file or header holds, it is read or told in one line; `make fuzz` tries far more of them."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from source_kit import docx, paragraph, pdf

from guards.calls.rate import LONGEST_PAUSE, seconds_of, speaks, told
from nodes.sources.collecting import Lost
from nodes.sources.parse import READERS
from nodes.sources.text import Document, passages, without_secrets

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FUZZED = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])

PAGE = b"""<!doctype html><html><head><title>Tide</title><meta charset=utf-8></head>
<body><h1>Tide</h1><p>It rose.</p></body></html>"""
SEEDS = {
    ".csv": b'name,cost\nHarbour Line,4.2\n"a ""b""",5\n',
    ".docx": docx(paragraph("The tide rose.") * 3),
    ".html": PAGE,
    ".md": "# Tide\n\nIt *rose* – on 2019-05-04.\n".encode(),
    ".pdf": pdf("The tide rose."),
    ".txt": "Größe\r\nTide".encode("utf-16"),
}
EDITS = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "insert", "cut", "again"]), st.binary(min_size=1, max_size=12)),
    max_size=8,
)


def edited(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    """A file with a few places changed: written over, pushed apart, taken out, said twice."""
    for where, what, new in edits:
        at = int(where * len(data))
        gone = len(new) if what in ("set", "cut") else 0
        data = (
            data[:at] + (b"" if what == "cut" else data[: 4 * len(new)] if what == "again" else new) + data[at + gone :]
        )
    return data


def read(suffix: str, data: bytes) -> Document | None:
    try:
        return READERS[suffix](data, f"stranger{suffix}", "stranger")
    except Lost as lost:
        why = str(lost)
    assert why
    assert "\n" not in why
    return None


@pytest.mark.parametrize("suffix", sorted(SEEDS))
@given(edits=EDITS, other=st.sampled_from(sorted(SEEDS)))
@FUZZED
def test_any_bytes_in_a_file_are_read_or_told(suffix: str, edits: list[tuple[float, str, bytes]], other: str) -> None:
    for seed in {suffix, other}:
        document = read(suffix, edited(SEEDS[seed], edits))
        if document is not None:
            document.text.encode()
            spans = [place for span in passages(document.text) for place in span]
            assert spans == sorted(spans) and len(without_secrets(document).text) == len(document.text)


@given(
    st.one_of(st.text(max_size=60), st.from_regex(r"\A[0-9.]{1,12}(ms|[dhms])?([0-9]{1,4}s)?\Z")), st.text(max_size=60)
)
@FUZZED
def test_any_text_in_a_header_stops_a_provider_for_an_hour_at_most(retry: str, left: str) -> None:
    now = 1_750_000_000.0
    seconds = seconds_of(retry, now)
    assert seconds is None or 0 <= seconds < float("inf")
    headers = {"retry-after": retry, "x-ratelimit-remaining-tokens": left, "x-ratelimit-reset-tokens": retry}
    row = told(None, headers, now, 429)
    assert row is None or (row["pause"] <= now + LONGEST_PAUSE and not speaks(row, now + LONGEST_PAUSE + 1))
