"""Inputs: what was typed, checked before anything runs, as what the research graph takes."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from interlock.arguments import ROLES
from interlock.exits import BadUsage

if TYPE_CHECKING:
    from interlock.runner import Job
    from state.research import Context, Question

FORMATS: Final = (".md", ".markdown", ".html", ".htm", ".json")
STDIN_CHARACTERS: Final = 100_000


def question_of(args: argparse.Namespace) -> str:
    """The one question.

    Raises:
        BadUsage: There is none, or none but blanks.
    """
    question = sys.stdin.read(STDIN_CHARACTERS) if args.question == "-" else args.question or ""
    if not question.strip():
        raise BadUsage('the question is missing: interlock research "What ...?" --docs DIR')
    return sound(question, "the question")


def sources_of(args: argparse.Namespace) -> "Question":
    """The named sources, which are there.

    Raises:
        BadUsage: None is named, or one is not there, cannot be read, or is no address.
    """
    if not (args.docs or args.db or args.url or args.search):
        raise BadUsage("no source to search: add --docs DIR, --db FILE, --url URL or --search URL")
    given: Question = {
        "docs": [_readable(place, "--docs") for place in args.docs],
        "databases": [_database(place) for place in args.db],
        "urls": [_address(place, "--url") for place in args.url],
    }
    return {**given, "search": _address(args.search, "--search")} if args.search else given


def context_of(args: argparse.Namespace) -> "Context":
    """What was chosen for the run.

    Raises:
        BadUsage: Choices that contradict each other, a role that there is not, no model for `--mode model`.
    """
    from nodes.models import NO_MODEL, configured
    from state.research import Context

    if bool(args.trusted) != (args.merge == "trusted"):
        raise BadUsage("--merge trusted and --trusted SOURCE go together")
    if args.mode == "model" and not configured():
        raise BadUsage(NO_MODEL)
    if args.mode == "extractive" and args.model:
        raise BadUsage("--mode extractive uses no model: leave --model or --mode out")
    return Context(
        models=_models(args.model),
        mode=args.mode,
        merge=args.merge,
        trusted=tuple(args.trusted),
        min_ok=args.min_ok,
        required=tuple(args.require),
    )


def job(args: argparse.Namespace, question: "Question", name: str = "") -> "Job":
    """What the runner is given for one question.

    Args:
        args: What was typed.
        question: The question with its sources.
        name: The answer's id; the run's when not given.
    """
    from interlock.runner import Job

    limits = {"seconds": args.seconds, "dollars": args.max_dollars, "calls": args.max_calls}
    return Job(question, context_of(args), name, {limit: value for limit, value in limits.items() if value is not None})


def check_data_folder() -> None:
    """Look whether there is room for the index, without which no source can be searched.

    Raises:
        BadUsage: The data folder cannot be made or written.
    """
    from guards.folder import data_folder

    try:
        folder = data_folder()
    except OSError as error:
        where = os.environ.get("INTERLOCK_DATA") or "your data folder"
        raise BadUsage(f"{where} cannot be made ({error.strerror}): set INTERLOCK_DATA to another folder") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadUsage(f"{folder} cannot be written: set INTERLOCK_DATA to another folder")


def out_of(args: argparse.Namespace) -> Path | None:
    """Where the report goes, if not to stdout.

    Raises:
        BadUsage: The format is unknown, or nothing can be written there.
    """
    if not args.out:
        return None
    path = Path(args.out)
    if path.suffix.lower() not in FORMATS:
        raise BadUsage(f"--out {args.out}: its ending says no format: use .md, .html or .json")
    return writable(path, "--out")


def writable(path: Path, option: str) -> Path:
    """The path of a file that can be written.

    Raises:
        BadUsage: It cannot.
    """
    folder = path.parent
    if path.is_dir():
        raise BadUsage(f"{option} {path} is a folder: name a file in it")
    if not folder.is_dir():
        raise BadUsage(f"{option} {path}: there is no folder {folder}: make it first")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise BadUsage(f"{option} {path} cannot be written: check the permissions of {folder}")
    return path


def _models(named: list[str]) -> dict[str, str]:
    """Model by role; a name without a role is for all that have none of their own."""
    chosen: dict[str, str] = {}
    for role, name in sorted(_model(text) for text in named):
        chosen |= {role: name} if role else dict.fromkeys(ROLES, name)
    return chosen


def _model(text: str) -> tuple[str, str]:
    """(role, name) of one --model; no role stands for all, and sorts first."""
    role, equals, name = text.partition("=")
    if equals and role not in ROLES:
        raise BadUsage(f"--model {text}: there is no role '{role}': use {', '.join(ROLES)}")
    role, name = (role, name) if equals else ("", text)
    if not name.strip():
        raise BadUsage("--model needs a name: --model gpt-4o-mini or --model writer=gpt-4o")
    return role, name.strip()


def _readable(place: str, option: str) -> str:
    path = Path(sound(place, option)).expanduser()
    if not place.strip() or not path.exists():
        raise BadUsage(f"{option} {place}: there is no such file or folder: check the path")
    if not os.access(path, os.R_OK | (os.X_OK if path.is_dir() else 0)):
        raise BadUsage(f"{option} {place} cannot be read: check its permissions")
    return place


def _database(place: str) -> str:
    if Path(sound(place, "--db")).expanduser().is_dir():
        raise BadUsage(f"--db {place} is a folder: name the SQLite file, or use --docs for a folder")
    return _readable(place, "--db")


def _address(url: str, option: str) -> str:
    try:
        parts = urlsplit(sound(url, option))
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or any(letter.isspace() for letter in url):
        raise BadUsage(f"{option} {url} is no web address: write it in full, like https://example.org/page")
    return url


def sound(text: str, what: str) -> str:
    """The text, if it can be stored: a name that is no UTF-8 arrives with lone surrogates in it.

    Raises:
        BadUsage: It cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadUsage(f"{what} is no valid UTF-8 text: rename it or type it anew") from None
    return text
