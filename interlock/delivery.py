"""Delivery: an answer reaches whoever asked, as a report, a page or JSON, in a file or on stdout."""

import argparse
import os
from pathlib import Path

from interlock.exits import EXIT_CODES, FAULT
from interlock.progress import counted
from interlock.terminal import put, put_report, say
from state.answer import Answer


def handed_over(answer: Answer | None, args: argparse.Namespace, out: Path | None) -> int:
    """Deliver the answer of a run that was just worked on, if it has one yet, with a line on how it ended."""
    if answer is None:
        return EXIT_CODES["partial"]
    code = deliver(answer, args, out)
    if not args.quiet:
        say(summary(answer))
    return code


def deliver(answer: Answer, args: argparse.Namespace, out: Path | None) -> int:
    """Hand an answer over as the options say; the exit code."""
    place = "stdout"
    try:
        if args.json:
            put(answer.model_dump_json())
        elif out is None:
            put_report(answer.report)
        if out is not None:
            place = str(out)
            write(answer, out)
    except OSError as error:
        say(f"interlock: {place} cannot be written ({error.strerror}); the report is kept: interlock show {answer.id}")
        return FAULT
    return EXIT_CODES[answer.outcome]


def write(answer: Answer, path: Path) -> None:
    """Write the answer in the format that the path's ending names; an older file stays until the new one is whole.

    Raises:
        OSError: It cannot be written.
    """
    ending, path = path.suffix.lower(), path.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(_rendered(answer, ending), encoding="utf-8", errors="replace")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def summary(answer: Answer) -> str:
    """One line on how a run ended and what it cost."""
    spent, cited = answer.spent, {quote.source_id for quote in answer.quotes}
    parts = [
        f"{answer.outcome}, {answer.stop_reason}" if answer.stop_reason else answer.outcome,
        f"{counted(len(answer.quotes), 'quote')} from {counted(len(cited), 'source')}",
        f"{counted(spent.calls, 'call')}{_of_most(answer)}, ${spent.dollars:.4f}"
        if spent.calls
        else "no language model",
        f"{spent.seconds:.1f} s",
        f"run {answer.id}",
    ]
    return " · ".join(parts)


def _of_most(answer: Answer) -> str:
    """What the run could have called at most."""
    most = answer.ceiling.calls if answer.ceiling else None
    return "" if most is None else f" of at most {most}"


def _rendered(answer: Answer, ending: str) -> str:
    if ending == ".json":
        return answer.model_dump_json(indent=2) + "\n"
    if ending in (".html", ".htm"):
        return html(answer)
    return answer.report if answer.report.endswith("\n") else answer.report + "\n"


def html(answer: Answer) -> str:
    """The answer as one HTML page that opens offline."""
    from nodes.text.html import html_page

    page: str = html_page(answer)
    return page
