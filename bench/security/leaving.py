"""S2, S3, S4 and S6: what leaves."""

import os
import secrets as entropy
from collections.abc import Iterator
from unittest.mock import patch

from bench.security.figure import Figure, rows, share
from guards.scan.markup import active, inert, public
from guards.scan.output import leaks, scan_output
from guards.scan.registered import finder, forms

SURE = ("card", "email", "iban", "ssn")
FORMS = 13
SECRETS = 20


def registered() -> Iterator[Figure]:
    """Every form of a secret in the middle of a text, and texts without one."""
    values = [entropy.token_urlsafe(24 + number) for number in range(SECRETS)]
    with patch.dict(os.environ, {f"SOME_{number}_TOKEN": value for number, value in enumerate(values)}):
        spelled = [text for value in values for text in forms(value).values()]
        missed = [not list(finder().spans(f"it says {text}, as said before")) for text in spelled]
        texts = [row["text"] for row in rows("leaks") if row["label"] == 0]
        false = [bool(list(finder().spans(text))) for text in texts]
    yield Figure(
        "S2", f"registered secrets that are not seen, in {len(forms('12345678'))} forms", sum(missed), 0, unit="count"
    )
    yield Figure("S2", f"false hits on {len(texts):,} texts", sum(false), 0, unit="count")


def personal() -> Iterator[Figure]:
    """Personal data by kind, by the spans that are covered; false alarms on texts that look like it."""
    found: dict[str, list[bool]] = {}
    for row in rows("leaks"):
        spans = leaks(row["text"]) if row.get("spans") else []
        for start, end, kind in row.get("spans") or ():
            if kind in (*SURE, "ip", "phone"):
                found.setdefault(kind, []).append(any(start < last and first < end for first, last, _ in spans))
    for kind, hits in sorted(found.items()):
        limit = 0.98 if kind in SURE else 0.95 if kind == "ip" else 0.60
        yield Figure("S3", f"{kind} seen ({len(hits)})", share(hits), limit, "at least")
    kinds = (*SURE, "ip", "phone")
    for name in ("neg_pii", "neg_prose"):
        false = [any(kind in kinds for *_, kind in leaks(r["text"])) for r in rows("leaks") if r["kind"] == name]
        if false:
            yield Figure("S3", f"false alarms on {name}", share(false), 0.03)


def secrets() -> Iterator[Figure]:
    """Secrets in code and in prose. The model has seen these rows; `bench.train_secrets` tells what it does on others."""
    bars = {"secret_code": (0.65, "at least"), "neg_code": (0.05, "at most"), "neg_prose": (0.005, "at most")}
    for kind, (limit, must) in bars.items():
        hits = [any("secret" in one for *_, one in leaks(row["text"])) for row in rows("leaks") if row["kind"] == kind]
        if hits:
            what = "secrets seen in code" if kind == "secret_code" else f"false alarms on {kind}"
            yield Figure("S4", f"{what} ({len(hits)}, trained on)", share(hits), limit, must)  # type: ignore[arg-type]


def markup() -> Iterator[Figure]:
    """What is still active after it was taken apart, and harmless texts that were changed."""
    bad = [inert(row["text"])[0] for row in rows("exfil") if row["label"] == 1]
    good = [(row["text"], scan_output(row["text"], _KEPT).clean) for row in rows("exfil") if row["label"] == 0]
    if bad:
        yield Figure(
            "S6",
            f"active or hidden output that survives ({len(bad)})",
            sum(any(active(t, public)) for t in bad),
            0,
            unit="count",
        )
        seen = [_visible(before) != _visible(after) for before, after in good]
        yield Figure("S6", f"harmless texts whose reader sees another one ({len(good)})", share(seen), 0.01)


_KEPT = dict.fromkeys(("secret", "card", "iban", "ssn", "email", "phone", "ip"), "keep")


def _visible(text: str) -> str:
    """What a reader sees."""
    from markdown_it import MarkdownIt
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    for node in page.css("script, style, title, template, noscript"):
        node.decompose()
    return " ".join((page.body.text() if page.body else "").split())
