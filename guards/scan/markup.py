"""Markup: Markdown and HTML that do nothing when they are shown: no script, no hidden text, no remote parts.

The text is parsed as Markdown and as HTML, as a viewer would. Where neither has anything active in it, it stays as it
is, to the letter. Else what is active is taken apart and the result parsed again, until nothing is left: one pass is
not enough, for what remains of one trick can be another one (a fixpoint, at most `PASSES`; then all of it is text).
Not covered: a static image's address tells its host that somebody looked.
"""

import html
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from guards.scan.unseen import in_one_script, seen

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

PASSES: Final = 5
GENTLE: Final = 2
"""Passes that leave harmless elements alone; after them every tag becomes text."""

LONGEST: Final = 200_000
"""Characters that are parsed; of a longer text everything is shown as text."""

HOSTS: Final = frozenset(
    "img.shields.io badge.fury.io codecov.io opencollective.com github.com raw.githubusercontent.com contrib.rocks "
    "user-images.githubusercontent.com avatars.githubusercontent.com upload.wikimedia.org media.giphy.com starchart.cc".split()
)
"""Public image hosts whose logs no attacker reads."""

Allowed = Callable[[str], bool]
"""Whether a page may load this image."""

_ACTIVE: Final = frozenset(
    "script style iframe frame frameset object embed applet form input button textarea select option base meta link "
    "template svg math audio video source track portal marquee bgsound isindex xml noscript noembed noframes plaintext xmp "
    "dialog slot canvas keygen param listing animate set image html head body title".split()
)
_LINKS: Final = frozenset(
    "href src action formaction data poster background srcset xlink:href cite longdesc lowsrc dynsrc".split()
)
_SCHEMES: Final = frozenset(("http", "https", "mailto", "tel", ""))
_HIDING: Final = re.compile(
    r"(?i)display\s*:\s*none|visibility\s*:\s*hidden|opacity\s*:\s*0|font-size\s*:\s*0|url\s*\(|expression|position\s*:|behavior"
    r"|-moz-binding|text-indent\s*:\s*-|\\"
)
_TAG: Final = re.compile(r"<(?=[A-Za-z/!?])")
_ELEMENT: Final = re.compile(r"<(/?)([A-Za-z][\w:-]{0,40})((?:[^<>\"']|\"[^\"<>]{0,4000}\"|'[^'<>]{0,4000}'){0,4000})>")
_ATTRIBUTE: Final = re.compile(
    r"([^\s\"'<>/=]{1,60})(?:\s{0,9}=\s{0,9}(\"[^\"]{0,4000}\"|'[^']{0,4000}'|[^\s\"'<>]{1,4000}))?"
)
_WHOLE: Final = re.compile(
    r"(?is)<!--.{0,20000}?(?:-->|\Z)|<(script|style|iframe|object|template|noscript|svg|math|title)\b[^<>]{0,4000}>.{0,20000}?</\1\s{0,9}>"
)
_CUT_OFF: Final = re.compile(r"(?i)<[a-z/!][^<>]{0,4000}(?:\bon\w{2,20}|src|href|style)\s{0,9}=[^<>]{0,4000}\Z")
_CODE: Final = re.compile(r"(`{1,9})(?!`)[^\n]{1,2000}?(?<!`)\1(?!`)")
_TARGET: Final = re.compile(
    r"(!?)(\[[^\]\n]{0,1000}\])(\(\s{0,9})(<[^>\n]{0,2000}>|(?:\([^()\s]{0,500}\)|[^\s()]){0,2000})"
)
_DEFINED: Final = re.compile(
    r"(?m)^((?:[ >*+-]|\d{1,3}[.)]){0,12}\[([^\]\n]{1,500})\]:\s{0,9})(<[^>\n]{0,2000}>|\S{1,2000})"
)
_REFERRED: Final = re.compile(r"!\[([^\]\n]{0,500})\](?:\[([^\]\n]{0,500})\])?")
_SPOKEN: Final = re.compile(
    r"(?i)(?<![\w.])(?:j\s{0,3}a\s{0,3}v\s{0,3}a\s{0,3}s\s{0,3}c\s{0,3}r\s{0,3}i\s{0,3}p\s{0,3}t|vbscript|livescript|mocha)\s{0,3}:(?=\S)"
    r"|(?<![\w.])data:(?=(?:text/(?:html|xml|javascript)|application/(?:xhtml|xml|javascript)|image/svg))"
)
_STATIC: Final = re.compile(
    r"(?:/[A-Za-z][A-Za-z_.-]{0,39}\d{0,4}|/\d{1,4}){0,5}/[A-Za-z0-9_.-]{1,60}\.(?:png|jpe?g|gif|svg|webp|ico|bmp)"
)
GONE: Final = "#removed"


def inert(text: str, image: "Allowed | None" = None) -> tuple[str, tuple[str, ...]]:
    """The text with nothing active in it, and what was.

    Args:
        text: Markdown, HTML or plain text.
        image: Which images may be loaded; None: `public` ones.
    """
    allowed, reasons = image or public, list[str]()
    plain = in_one_script(seen(text))
    if plain != text:
        reasons.append("hidden or look-alike characters")
    if not any(mark in plain for mark in "<[:&"):
        return plain, tuple(reasons)
    if len(plain) > LONGEST:
        return as_text(plain), (*reasons, "too long to be parsed: shown as text")
    for number in range(PASSES):
        found = list(dict.fromkeys(active(plain, allowed)))
        if not found:
            return plain, tuple(dict.fromkeys(reasons))
        reasons += found
        plain = in_one_script(seen(_taken_apart(plain, allowed, gently=number < GENTLE)))
    return as_text(plain), tuple(dict.fromkeys(reasons))


def as_text(text: str) -> str:
    """The text so that no parser finds anything in it."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~-])", r"\\\1", html.escape(_SPOKEN.sub("unsafe:", text), quote=False))


def public(url: str) -> bool:
    """Whether an image's address tells its host nothing: a public host's, or a name without any data in it."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if not parts.scheme and not parts.netloc:
        return True
    if parts.scheme not in ("http", "https"):
        return False
    if parts.netloc.lower() in HOSTS:
        return True
    return not parts.query and not parts.fragment and "@" not in url and _STATIC.fullmatch(parts.path) is not None


def none(url: str) -> bool:
    """No image is loaded from anywhere."""
    return not urlsplit(url).netloc and not urlsplit(url).scheme


def active(text: str, allowed: Allowed) -> Iterator[str]:
    """What a viewer would run, load or hide."""
    yield from _active_in(_markdown().render(text), allowed)
    yield from _active_in(_without_code(text), allowed)
    if _CUT_OFF.search(text):
        yield "a tag that is cut off"
    if _SPOKEN.search(_CODE.sub("", text)):
        yield "an address that runs"


def _active_in(page: str, allowed: Allowed) -> Iterator[str]:
    """The same for HTML."""
    if "<" not in page:
        return
    from selectolax.lexbor import LexborHTMLParser

    given = {name.lower() for name in re.findall(r"<\s{0,3}/?([A-Za-z][\w:-]{0,30})", page)}
    for name in sorted(given & _ACTIVE):
        yield f"an element <{name}>"
    if "<!--" in page or "<?" in page or re.search(r"<!(?!doctype)", page, re.IGNORECASE):
        yield "a comment or declaration"
    for node in LexborHTMLParser(page).css("*"):
        for name, value in node.attributes.items():
            yield from _active_attribute(str(node.tag), name.lower(), value or "", allowed)


def _active_attribute(tag: str, name: str, value: str, allowed: Allowed) -> Iterator[str]:
    if name.startswith(("on", "xmlns")) or name in (
        "srcdoc",
        "hidden",
        "contenteditable",
        "autofocus",
        "ping",
        "is",
        "slot",
    ):
        yield f"an attribute {name}"
    if name == "style" and _HIDING.search(html.unescape(value)):
        yield "a style that hides or loads"
    if name in _LINKS and _scheme(value) not in _SCHEMES:
        yield "an address that runs"
    elif tag == "img" and name in ("src", "srcset") and not allowed(value.strip()):
        yield "an image that tells its host something"
    elif name in ("background", "poster", "lowsrc", "dynsrc") and value:
        yield "a remote part"


def _scheme(address: str) -> str:
    """What a browser takes for the scheme: it leaves control characters and blanks out."""
    bare = re.sub(
        r"[\x00-\x20\u0080-\u00a0\u200b-\u200f\ufeff]", "", html.unescape(unquote(html.unescape(address[:500])))
    )
    found = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*):", bare)
    return found[1].lower() if found else ""


def _taken_apart(text: str, allowed: Allowed, gently: bool) -> str:
    """One pass: tags gone or as text, addresses that run and images that tell something gone."""
    text = _SPOKEN.sub("unsafe:", text)
    tame = _safe_tags(text, allowed) if gently else _TAG.sub("&lt;", text)
    images = {_label(found[2] or found[1]) for found in _REFERRED.finditer(tame)}
    text = _DEFINED.sub(lambda found: found[1] + _safe(found[3], _label(found[2]) in images, allowed), tame)
    return _TARGET.sub(lambda found: found[1] + found[2] + found[3] + _safe(found[4], bool(found[1]), allowed), text)


def _safe_tags(text: str, allowed: Allowed) -> str:
    return _ELEMENT.sub(lambda tag: _safe_tag(tag, allowed), _WHOLE.sub("", text))


def _safe_tag(tag: re.Match[str], allowed: Allowed) -> str:
    """The tag without active attributes; nothing when the element itself is active."""
    name = tag[2].lower()
    if name in _ACTIVE:
        return ""
    kept = [
        one[0]
        for one in _ATTRIBUTE.finditer(tag[3])
        if not any(_active_attribute(name, one[1].lower(), (one[2] or "").strip("\"'"), allowed))
    ]
    if name == "img" and not any(one.lower().startswith("src") for one in kept):
        return ""
    return f"<{tag[1]}{tag[2]}{''.join(f' {one}' for one in kept)}{'/' if tag[3].endswith('/') else ''}>"


def _label(name: str) -> str:
    return " ".join(name.split()).casefold()


def _safe(address: str, image: bool, allowed: Allowed) -> str:
    bare = address.strip("<>")
    if _scheme(bare) not in _SCHEMES or (image and not allowed(html.unescape(bare))):
        return GONE
    return address


def _without_code(text: str) -> str:
    """The text without code, which no viewer runs."""
    lines = text.split("\n")
    for token in _markdown().parse(text):
        if token.type in ("fence", "code_block") and token.map:
            lines[token.map[0] : token.map[1]] = [""] * (token.map[1] - token.map[0])
    return _CODE.sub("", "\n".join(lines))


@lru_cache(maxsize=1)
def _markdown() -> "MarkdownIt":
    from markdown_it import MarkdownIt

    made: Any = MarkdownIt("commonmark", {"html": True, "maxNesting": 20}).enable("table")
    made.validateLink = lambda url: True  # what it would leave out must be seen
    return made  # type: ignore[no-any-return]
