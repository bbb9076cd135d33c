"""HTML: the answer as one page that opens offline. No script, no remote part; what sources say is inert text."""

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from state.answer import Answer

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_CITATION = re.compile(r"(?<!\\)\[(\d{1,3})\]")
_SAFE_LINK = re.compile(r"https?://|#source-\d{1,3}$")
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
</head>
<body class="{outcome}">
<main>
{body}<footer>{footer}</footer>
</main>
</body>
</html>
"""


def html_page(answer: Answer) -> str:
    """The report as a whole page; it renders the same Markdown, so both say the same."""
    style = _style()
    return PAGE.format(
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        title=html.escape(answer.question[:200] or "Report"),
        style=style,
        outcome=answer.outcome,
        body=_body(answer.report),
        footer=html.escape(_footer(answer)),
    )


def _footer(answer: Answer) -> str:
    """What the run used, and its id, for `interlock show`."""
    spent = answer.spent
    tokens = spent.input_tokens + spent.output_tokens
    used = f"{spent.calls} model calls, {tokens:,} tokens, ${spent.dollars:.4f}" if spent.calls else "No model call"
    return f"{used}, {spent.seconds:.1f} s, run {answer.id}"


def _body(report: str) -> str:
    parser = _parser()
    linked = _CITATION.sub(r"[\\[\1\\]](#source-\1)", report)
    tokens = parser.parse(linked)
    _name_sources(tokens)
    _disarm(tokens)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _parser() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).disable(["image", "html_block", "html_inline"])


def _name_sources(tokens: "Sequence[Token]") -> None:
    """Give the entries of the last list of sources the names that citations link to."""
    headings = [place for place, token in enumerate(tokens) if token.type == "inline" and token.content == "Sources"]
    entries = [token for token in tokens[headings[-1] :] if token.type == "list_item_open"] if headings else []
    for number, entry in enumerate(entries, 1):
        entry.attrSet("id", f"source-{number}")


def _disarm(tokens: "Sequence[Token]") -> None:
    """Links lead to a cited source or to its web page, and tell nobody where they come from."""
    for token in (inner for outer in tokens for inner in outer.children or ()):
        if token.type != "link_open":
            continue
        target = str(token.attrGet("href") or "")
        if not _SAFE_LINK.match(target):
            token.attrs = {}
        elif not target.startswith("#"):
            token.attrSet("rel", "noopener noreferrer")


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text(encoding="utf-8")
