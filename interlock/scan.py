"""`interlock scan`: run the scanners over text, one verdict a line. What CI jobs call."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from guards.scan.verdict import Verdict
from interlock.exits import BadUsage
from interlock.terminal import put

LINE_CHARACTERS: Final = 8_000_000
STDIN_CHARACTERS: Final = 4_000_000

CLEAN, FLAGGED = 0, 1


def main(args: argparse.Namespace) -> int:
    """Print a verdict for each text; 1 when one is flagged."""
    if args.url is not None:
        return _told(asyncio.run(_url(args.url)))
    scan = _scanner(args.side)
    flagged = [_told(scan(text)) for text in _texts(args)]
    return max(flagged, default=CLEAN)


def _scanner(side: str) -> Callable[[str], Verdict]:
    if side == "output":
        from guards.scan.output import scan_output

        return scan_output
    from guards.scan.injection import scan_input

    return scan_input


async def _url(url: str) -> Verdict:
    from nodes.sources.fetch import judged

    return await judged(url)


def _told(verdict: Verdict) -> int:
    put(json.dumps(verdict.data()))
    return FLAGGED if verdict.flagged else CLEAN


def _texts(args: argparse.Namespace) -> Iterator[str]:
    if args.jsonl is None:
        text = sys.stdin.read(STDIN_CHARACTERS + 1)
        if len(text) > STDIN_CHARACTERS:
            raise BadUsage(f"more than {STDIN_CHARACTERS:,} characters on stdin: split the text")
        yield text
        return
    try:
        with Path(args.jsonl).open(encoding="utf-8") as lines:
            yield from (_text(args.jsonl, number, line) for number, line in enumerate(lines, 1) if line.strip())
    except (OSError, UnicodeError) as error:
        raise BadUsage(f"{args.jsonl} cannot be read as UTF-8 text ({type(error).__name__}): check --jsonl") from None


def _text(file: str, number: int, line: str) -> str:
    if len(line) > LINE_CHARACTERS:
        raise BadUsage(f"{file} line {number} is longer than {LINE_CHARACTERS:,} characters: split it")
    try:
        text = json.loads(line)["text"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise BadUsage(f'{file} line {number}: write one JSON object a line, {{"text": "..."}}') from None
    if not isinstance(text, str):
        raise BadUsage(f'{file} line {number}: "text" is no text')
    return text
