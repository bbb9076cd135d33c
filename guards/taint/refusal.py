"""Refusal: a call that must not be made."""

from guards.errors import Permanent


class Refusal(Permanent):
    """A call that must not be made.

    Args:
        tool: Its tool.
        why: What is wrong and what to do.
    """

    def __init__(self, tool: str, why: str) -> None:
        super().__init__(f"tool '{tool}' was not called: {why}")
        self.tool, self.limit = tool, "taint"
