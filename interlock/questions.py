"""Questions: the file of many questions, and the file of answers that a later call goes on with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from interlock.exits import BadUsage
from interlock.inputs import sound

FILE_BYTES: Final = 100_000_000
QUESTIONS: Final = 100_000
LINE_CHARACTERS: Final = 20_000


@dataclass(frozen=True)
class Asked:
    """One line of the file."""

    id: str
    question: str


def read_questions(path: Path) -> list[Asked]:
    """All questions of a file; a line without an `id` is called by its number.

    Raises:
        BadUsage: The file cannot be read, or one of its lines is no question; the line is named.
    """
    asked: dict[str, Asked] = {}
    for number, text in _lines(path):
        one = _question(f"{path} line {number}", number, text)
        if one.id in asked:
            raise BadUsage(f"{path} line {number}: the id '{one.id}' is there twice: give every question its own")
        asked[one.id] = one
        if len(asked) > QUESTIONS:
            raise BadUsage(f"{path} holds more than {QUESTIONS:,} questions: split it")
    if not asked:
        raise BadUsage(f'{path} holds no question: write one JSON object a line, {{"id": "1", "question": "..."}}')
    return list(asked.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """The numbered lines that are not blank."""
    try:
        if path.stat().st_size > FILE_BYTES:
            raise BadUsage(f"{path} is over {FILE_BYTES // 1_000_000} MB: split it")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadUsage(f"there is no file {path}: check --questions") from None
    except (OSError, UnicodeError) as error:
        raise BadUsage(f"{path} cannot be read as UTF-8 text ({type(error).__name__}): check --questions") from None
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _question(where: str, number: int, text: str) -> Asked:
    given = _object(where, text)
    question, name = given.get("question"), given.get("id", number)
    if not isinstance(question, str) or not question.strip():
        raise BadUsage(f'{where}: "question" is missing or no text')
    if isinstance(name, bool) or not isinstance(name, (str, int)) or not str(name).strip():
        raise BadUsage(f'{where}: "id" must be a text or a whole number')
    return Asked(sound(str(name), f'{where}: "id"'), sound(question, f'{where}: "question"'))


def _object(where: str, text: str) -> dict[str, Any]:
    if len(text) > LINE_CHARACTERS:
        raise BadUsage(f"{where} is longer than {LINE_CHARACTERS:,} characters: shorten it")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadUsage(f"{where} is no JSON ({error}): write one object a line") from None
    if not isinstance(given, dict):
        raise BadUsage(f'{where} is no JSON object: write {{"id": "1", "question": "..."}}')
    return given
