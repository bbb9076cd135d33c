"""Named: what a question names: dates, files, entities. By rule."""

import re

from state.report import Plan

_DATE = re.compile(r"\b(?:Q[1-4]|\d{4}(?:-\d{2}(?:-\d{2})?)?)\b")
_NAME = re.compile(r"\b[A-Z][\w'-]*(?: [A-Z][\w'-]*)*")
QUESTION_CHARACTERS = 4_000


def read_plan(question: str) -> Plan:
    """The plan by rule."""
    text = question[:QUESTION_CHARACTERS]
    names = tuple(dict.fromkeys(_NAME.findall(text)))[:20]
    dates = tuple(dict.fromkeys(_DATE.findall(text)))[:20]
    return Plan(question=question, names=names, dates=dates)
