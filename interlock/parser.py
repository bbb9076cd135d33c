"""Parser: argparse that answers a slip with one line and the nearest thing that it knows."""

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from interlock.exits import BadUsage


class Parser(argparse.ArgumentParser):
    """A parser that raises `BadUsage` and takes no abbreviations."""

    def __init__(self, **how: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **how)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line."""
        raise BadUsage(f"{message}: see `{self.prog} --help`")

    @property
    def options(self) -> list[str]:
        """The options that it knows."""
        return [name for action in self._actions for name in action.option_strings]


def parsed(parser: Parser, commands: dict[str, Parser], argv: Sequence[str]) -> argparse.Namespace:
    """The command and its options.

    Raises:
        BadUsage: A command or an option is unknown, or has a value that it does not take.
    """
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        raise BadUsage(f"there is no command '{argv[0]}'{_meant(argv[0], list(commands))}: see `{parser.prog} --help`")
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        raise BadUsage(_unknown(unknown, commands.get(args.command, parser)))
    return args


def count(text: str) -> int:
    """A whole number, at least 1."""
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:12]) < 10**9:
        raise argparse.ArgumentTypeError(f"'{text}' must be a whole number, 1 or more")
    return int(text)


def amount(text: str) -> float:
    """A number more than 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' must be a number, more than 0")
    return number


def _unknown(unknown: Sequence[str], parser: Parser) -> str:
    option = next((word.partition("=")[0] for word in unknown if word.startswith("-")), "")
    if not option:
        return f"'{unknown[0]}' is one word too many: put a text of several words in quotes"
    return f"there is no option {option}{_meant(option, parser.options)}: see `{parser.prog} --help`"


def _meant(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, 1)
    return f", did you mean {close[0]}?" if close else ""
