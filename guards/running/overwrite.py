"""Overwrite: put a value into a state key for good, also where the key has a reducer that would add to it.

The channels are read where LangGraph's own ToolNode reads them; `tests/test_clean.py` tells when that place moves.
"""

from typing import Any

from langgraph.channels import BinaryOperatorAggregate, DeltaChannel
from langgraph.config import get_config
from langgraph.types import Overwrite


def in_place(key: str, value: Any) -> Any:
    """What a node returns so that the key holds exactly `value` afterwards; outside a graph the value itself."""
    return Overwrite(value) if isinstance(_channels().get(key), (BinaryOperatorAggregate, DeltaChannel)) else value


def _channels() -> Any:
    try:
        reader = (get_config().get("configurable") or {}).get("__pregel_read")
    except RuntimeError:
        return {}
    return reader.args[1] if reader is not None else {}
