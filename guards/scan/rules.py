"""Rules: what announces an order to a model, in words. Each is linear: RE2 knows no backtracking.

The first five are the guide's own (G1), whatever their case: the named minimum. They are read in every view.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

GUIDE: Final = (
    ("ignore previous instructions", r"ignore.{0,20}previous.{0,20}instructions"),
    ("system prompt", r"system.{0,10}\bprompts?\b"),
    ("act as admin", r"\bact.{0,10}\bas\b.{0,10}\badmin"),
    ("execute command", r"execute.{0,10}\bcommands?\b"),
    ("script or data URI", r"<\s?script|javascript:(?:\S|.{0,40}[(=`])|\bdata:[a-z]+/[a-z0-9.+-]+[;,]"),
)
MORE: Final = (
    (
        "disregard orders",
        r"\b(?:ignor(?:e|ing|a|ez|iere)|disregard(?:ing)?|forget|override|vergiss|olvida|oublie|dimentica)\b"
        r"[^.!?]{0,40}\b(?:previous|prior|above|earlier|preceding|foregoing|all|every|your|vorherigen|anteriores?"
        r"|précédentes?)\b[^.!?]{0,30}\b(?:instruct\w*|prompts?|rules|guidelines|directions|directives|orders|context"
        r"|anweisung\w*|aufgaben|angaben|instruc\w*|consignes)",
    ),
    (
        "disregard all",
        r"\b(?:ignore|disregard|forget)\b (?:all|everything|anything)[^.!?]{0,20}\b(?:above|before|previous|said|told)\b",
    ),
    (
        "new orders",
        r"\b(?:new|real|actual|updated) (?:system )?(?:instructions?|task|directive)s?\s{0,2}(?::|are\b|is to\b|follow)",
    ),
    (
        "forged turn",
        r"(?:<\|(?:im_start|system|user|assistant)|\[/?(?:inst|system)\]|#{2,}\s?\((?:system|instruction)|<<sys>>|\bsystem_message\b)",
    ),
    (
        "forged notice",
        r"(?:<information>|\bimportant\s?!{2,}|\bthis is an important message from\b|\bbefore you can solve the task\b)",
    ),
    (
        "reveal orders",
        r"\b(?:reveal|print|show|repeat|output|display|leak|tell me|give me|share|what (?:is|are|were))\b[^.!?]{0,40}\b(?:your|the|initial|hidden|original|secret)\b[^.!?]{0,20}\b(?:instructions?|system message|initial prompt|preprompt|guidelines you)",
    ),
    (
        "unbound role",
        r"\b(?:do anything now|developer mode|(?:no|without) (?:any )?(?:ethical|moral|content)? ?(?:restrictions|guidelines|filters|limits)|(?:unfiltered|uncensored|amoral) (?:and|response|answer|chatbot|ai\b)|never refuse|\bdan\b.{0,20}\bmode)",
    ),
    (
        "no refusals",
        r"\b(?:without|no|never|not)\b[^.!?]{0,20}\b(?:warnings?|disclaimers?|refus\w+|apologi\w+|ethical|moral\w*)\b[^.!?]{0,30}\b(?:respon\w+|answer\w*|output|reply|character)\b",
    ),
)
RULES: Final = GUIDE + MORE


def tripped(text: str) -> Iterator[tuple[str, int, int]]:
    """The rules that a view trips, and where for the first time.

    Args:
        text: Lower case, white space folded.
    """
    if _any().search(text) is None:
        return
    for name, rule in _each():
        if (found := rule.search(text)) is not None:
            yield name, found.start(), found.end()


@lru_cache(maxsize=1)
def _any() -> Any:
    import re2

    return re2.compile("|".join(f"(?:{pattern})" for _, pattern in RULES), _options())


@lru_cache(maxsize=1)
def _each() -> list[tuple[str, Any]]:
    import re2

    return [(name, re2.compile(pattern, _options())) for name, pattern in RULES]


def _options() -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False
    options.dot_nl = True
    options.max_mem = 64 << 20
    return options
