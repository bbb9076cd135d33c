"""Question: is the input one that can be answered? A server lets anything in; a run with bad input says so and ends."""

from collections.abc import Mapping
from typing import Any

from guards import Refused

LISTS = ("docs", "databases", "urls")


def check_question(state: Mapping[str, Any]) -> None:
    """Look at the types of the input once, before any node relies on them.

    Raises:
        Refused: The question is missing, or the sources are not named as texts.
    """
    question = state.get("question")
    if not isinstance(question, str) or not question.strip():
        raise Refused("the question is missing: say what you want to know")
    for key in LISTS:
        places = state.get(key) or []
        if not isinstance(places, list) or not all(isinstance(place, str) for place in places):
            raise Refused(f'"{key}" must be a list of texts: "{key}": ["..."]')
    if not isinstance(state.get("search") or "", str):
        raise Refused('"search" must be a text: the address of the search endpoint')
