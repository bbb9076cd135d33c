"""What `interlock doctor` looks at, a function each. No key, and nothing else that is secret, gets into a finding."""

import asyncio
import os
import platform
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Literal

from interlock.reach import place, unreachable

ROOM_MEGABYTES: Final = 200
LIBRARIES: Final = ("langgraph", "langchain-openai", "pypdfium2", "selectolax", "rich")
OPENAI: Final = "https://api.openai.com"
LANGSMITH: Final = "https://api.smith.langchain.com"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `state` "off" is a choice; `cure` says how to have it, or how to mend it."""

    what: str
    state: Literal["ok", "off", "broken"]
    text: str
    cure: str = ""


async def findings() -> list[Finding]:
    """Everything; a look that fails is a finding too."""
    found = [_safely(what, look) for what, look in LOOKS.items()]
    return found + list(await asyncio.gather(_ledger(), _model_server(), _tracing()))


def _safely(what: str, look: Callable[[], tuple[bool | None, str, str]]) -> Finding:
    try:
        good, text, cure = look()
    except Exception as error:
        good, text, cure = False, f"cannot be looked at ({type(error).__name__})", "install anew: make setup"
    return Finding(what, "off" if good is None else "ok" if good else "broken", text, "" if good else cure)


def _python() -> tuple[bool | None, str, str]:
    return True, f"{platform.python_version()} on {platform.system()}, interlock {version('interlock')}", ""


def _libraries() -> tuple[bool | None, str, str]:
    found = {name: _version(name) for name in LIBRARIES}
    lost = [name for name, number in found.items() if not number]
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    return not lost, text, "install anew: make setup"


def _data() -> tuple[bool | None, str, str]:
    from guards.folder import data_folder

    try:
        folder = data_folder()
    except OSError as error:
        wanted = os.environ.get("INTERLOCK_DATA") or "the user's data folder"
        return (
            False,
            f"{wanted} cannot be made ({error.strerror})",
            "set INTERLOCK_DATA to a folder that you can write to",
        )
    free = shutil.disk_usage(folder).free // 1_000_000
    text = f"{folder}, {free:,} MB free"
    if not os.access(folder, os.W_OK | os.X_OK):
        return False, f"{text}, not writable", "set INTERLOCK_DATA to a folder that you can write to"
    return free >= ROOM_MEGABYTES, text, "make room, or set INTERLOCK_DATA to a folder with more"


def _words() -> tuple[bool | None, str, str]:
    with closing(sqlite3.connect(":memory:")) as database:
        try:
            database.execute("CREATE VIRTUAL TABLE words USING fts5(text)")
        except sqlite3.OperationalError:
            return False, f"SQLite {sqlite3.sqlite_version} without FTS5", "use a Python whose SQLite has FTS5"
    return True, f"SQLite {sqlite3.sqlite_version} with FTS5", ""


def _large() -> tuple[bool | None, str, str]:
    """Which words index is chosen, and whether it is there."""
    number, chosen = _version("tantivy"), os.environ.get("INTERLOCK_INDEX") or "fts5"
    if chosen not in ("fts5", "tantivy"):
        return False, f"INTERLOCK_INDEX={chosen} is unknown", "set it to fts5 or tantivy, or leave it out"
    if chosen == "fts5":
        return (
            None,
            f"FTS5 is used; tantivy {number or 'is not installed'}",
            "INTERLOCK_INDEX=tantivy, from 50,000 passages",
        )
    return bool(number), f"tantivy {number or 'is chosen and not installed'}", "pip install 'interlock[large]'"


def _model() -> tuple[bool | None, str, str]:
    """Whether agents can use a model, which one each role has, and whether its price is known."""
    from guards.errors import Permanent
    from guards.ledger.prices import price_of
    from interlock.arguments import ROLES
    from nodes.models import configured, name_for, stated_price

    if not configured():
        return (
            None,
            "none: research works in extractive mode",
            "set OPENAI_API_KEY, or OPENAI_BASE_URL for another server",
        )
    try:
        stated = stated_price()
    except Permanent as error:
        return False, "INTERLOCK_PRICE cannot be read", str(error)
    names = {role: name_for(role, None) for role in ROLES}
    unknown = [name for name in names.values() if price_of(name, {}, stated) is None]
    if unknown:
        cure = 'set INTERLOCK_PRICE="input,output", in USD per million tokens'
        return False, f"the price of {unknown[0]} is unknown, so it may not be called", cure
    named = ", ".join(dict.fromkeys(names.values()))
    key = "a key is set" if os.environ.get("OPENAI_API_KEY") else "no key is set"
    return True, f"{named} for every role ({', '.join(ROLES)}); {key}", ""


def _prices() -> tuple[bool | None, str, str]:
    from guards.ledger.prices import table_date

    text = f"genai-prices {_version('genai-prices')}, with changes up to {table_date()}"
    return True, f"{text}; a price in Policy(prices=...) or INTERLOCK_PRICE goes before it", ""


def _loopback() -> tuple[bool | None, str, str]:
    if os.environ.get("INTERLOCK_ALLOW_LOOPBACK") == "1":
        return True, "this machine's own addresses are open to --url and --search; other private ones are not", ""
    return None, "private addresses are closed to --url and --search", "--allow-loopback opens this machine's own"


LOOKS: Final[Mapping[str, Callable[[], tuple[bool | None, str, str]]]] = {
    "python": _python,
    "libraries": _libraries,
    "data folder": _data,
    "search": _words,
    "large folders": _large,
    "own addresses": _loopback,
    "language model": _model,
    "price table": _prices,
}


async def _ledger() -> Finding:
    from guards.ledger.ledger import used
    from guards.stores import StoreDown
    from guards.stores.chosen import store_name

    try:
        hour, day = await used()
    except StoreDown as error:
        return Finding("ledger", "broken", store_name(), str(error))
    text = f"this hour {hour.calls} calls and {hour.dollars:.4f} USD, today {day.calls} and {day.dollars:.4f}"
    return Finding("ledger", "ok", f"{store_name()}; {text}")


async def _model_server() -> Finding:
    base = os.environ.get("OPENAI_BASE_URL") or (OPENAI if os.environ.get("OPENAI_API_KEY") else "")
    if not base:
        return Finding("model server", "off", "none is configured")
    if problem := await unreachable(base):
        cure = "start it, or correct OPENAI_BASE_URL; until then runs fall back to extractive"
        return Finding("model server", "broken", problem, cure)
    return Finding("model server", "ok", f"{place(base)} takes connections")


async def _tracing() -> Finding:
    if os.environ.get("LANGSMITH_TRACING", "").lower() != "true":
        cure = "set LANGSMITH_TRACING=true and LANGSMITH_API_KEY"
        return Finding("tracing", "off", "LangSmith is off; nothing is sent", cure)
    base = os.environ.get("LANGSMITH_ENDPOINT") or LANGSMITH
    if base == LANGSMITH and not os.environ.get("LANGSMITH_API_KEY"):
        cure = "set LANGSMITH_API_KEY, or LANGSMITH_TRACING=false"
        return Finding("tracing", "broken", "LangSmith is on without a key", cure)
    if problem := await unreachable(base):
        cure = "correct LANGSMITH_ENDPOINT, or set LANGSMITH_TRACING=false; until then traces are lost"
        return Finding("tracing", "broken", problem, cure)
    return Finding("tracing", "ok", f"LangSmith at {place(base)} takes connections")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
