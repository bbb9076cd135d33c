"""Functions that are run apart under the name that a decorator has taken."""

from langchain_core.tools import tool

from guards import apart


@apart
def decorated(number: int) -> int:
    return number + 1


@tool
@apart
def look(number: int) -> int:
    """Look a number up."""
    return number + 1
