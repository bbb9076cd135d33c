"""Traces: LangSmith's client sends them from a thread of its own, which by itself would hold an exit for 20 seconds."""

import asyncio
import threading
from typing import Final

from interlock.reach import unreachable
from interlock.terminal import say

SECONDS: Final = 1.0


async def hand_over() -> None:
    """Give LangSmith a moment to take the last traces; when it is away they are lost, and one line says so."""
    from langchain_core.tracers.langchain import get_client, wait_for_all_tracers
    from langsmith.utils import tracing_is_enabled

    if not tracing_is_enabled():
        return
    problem = await unreachable(get_client().api_url, SECONDS)
    if not problem:
        sending = threading.Thread(target=wait_for_all_tracers, daemon=True)
        sending.start()
        await asyncio.to_thread(sending.join, SECONDS)
        problem = f"it did not take them within {SECONDS:g} s" if sending.is_alive() else ""
    if problem:
        say(f"the last traces for LangSmith are lost: {problem}")
