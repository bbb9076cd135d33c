"""Current: whose code is running, told by a context variable that tasks and threads of LangChain inherit."""

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guards.attempt import Attempt

GRACE_SECONDS = 0.1
"""What a cancelled node gets to clean up; after that stronger means are taken, and its calls are refused."""

current_attempt: ContextVar["Attempt | None"] = ContextVar("interlock_attempt", default=None)
