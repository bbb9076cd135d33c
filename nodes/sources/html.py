"""HTML: the main text of a page, by selectolax.

The parser's time and memory grow with the square of how deep tags are nested (1.5 MB of nested <div> took it six
minutes), so only the few tags that matter here ever reach it: the others become line breaks, or nothing, by one linear
pattern before.
"""

import re
from typing import TYPE_CHECKING

from nodes.sources.plain import cut, decoded
from nodes.sources.text import Document, date_of, line_marks

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser

TAGS = 2_000
"""Tags that reach the parser."""

NOISE = ("nav", "header", "footer", "aside")
_KEPT = frozenset({"title", "h1", "article", "main", "body", *NOISE})
_DATED = frozenset({"meta", "time"})
_CELLS = frozenset({"td", "th", "option"})
_BLOCKS = frozenset(
    {"p", "br", "hr", "div", "li", "tr", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "dt", "dd", "table"}
)
_BLOCKS |= {"ul", "ol", "dl", "section", "article", "main", "title", "figure", "figcaption", "caption", "blockquote"}
_BLOCKS |= {"fieldset", "details", "summary", "form", "address", "body", *NOISE}
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|noscript|template|svg|iframe|math)\b.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_TAG = re.compile(
    r"""<(?P<close>/?)(?P<name>[a-zA-Z][^\s/<>"']*)(?P<rest>(?:[^<>"']++|"[^"]*+"|'[^']*+')*+)>|<[!?][^<>]*>|<"""
)


def from_html(data: bytes, name: str, title: str) -> Document:
    """The main text of a page: its one article, its <main>, else its body."""
    from selectolax.lexbor import LexborHTMLParser

    source, note = cut(decoded(data))
    tree = LexborHTMLParser(_flat(source))
    heading = tree.css_first("title") or tree.css_first("h1")
    said = " ".join(heading.text().split())[:200] if heading else ""
    text = _main_text(tree)
    date = _date(tree) or date_of(name, text)
    return Document(name, said or title, text, date, "line", line_marks(text), note=note)


def _flat(source: str) -> str:
    """The page with no more than `TAGS` of the tags that matter; nothing else in it is markup."""
    left = TAGS

    def instead(match: "re.Match[str]") -> str:
        nonlocal left
        name = (match["name"] or "").lower()
        if not name:
            return "&lt;" if match[0] == "<" else ""
        breaks = "\n" if name in _BLOCKS else " | " if name in _CELLS and match["close"] else ""
        if left and (name in _KEPT or name in _DATED):
            left -= 1
            return f"{breaks}<{match['close']}{name}{match['rest'] if name in _DATED else ''}>{breaks}"
        return breaks

    return _TAG.sub(instead, _UNSEEN.sub(" ", source))


def _main_text(tree: "LexborHTMLParser") -> str:
    tree.strip_tags([*NOISE, "title"])
    articles = tree.css("article")
    main = articles[0] if len(articles) == 1 else tree.css_first("main") or tree.body
    lines = (line.strip("| \t\xa0") for line in (main.text() if main else "").splitlines())
    return "\n".join(line for line in lines if line)


def _date(tree: "LexborHTMLParser") -> str:
    node = tree.css_first("meta[property='article:published_time'], meta[name='date'], time[datetime]")
    if node is None:
        return ""
    return date_of(node.attributes.get("content") or node.attributes.get("datetime") or "", "")
