"""The guards' errors. Each carries its facts as attributes and says in one line what is wrong and what to do."""

from collections.abc import Sequence


class Interlock(Exception):
    """Base of every error that Interlock raises."""


class Refused(Interlock):
    """Raise it in a node to end the run as refused.

    Args:
        reason: One line for the person who asked; it becomes the run's `stop_reason`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Permanent(Interlock):
    """A failure that another attempt cannot mend."""


class Transient(Interlock):
    """A failure that another attempt may mend.

    Args:
        message: What went wrong.
        retry_after: Seconds the other side asked to wait, if it did.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TimedOut(Transient):
    """An attempt that did not end in time.

    Args:
        limit: Which clock spoke: "attempt" or "run".
        seconds: How long it was given.
    """

    def __init__(self, limit: str, seconds: float) -> None:
        super().__init__(f"no answer within {seconds:.3g} s")
        self.limit = limit
        self.seconds = seconds


class LimitReached(Permanent):
    """A limit of the run that the next call would pass; the call was not made.

    Args:
        limit: "calls", "input_tokens", "output_tokens", "tokens", "dollars", "tool_calls" or "seconds".
        used: How much would be used or held with the call.
        allowed: How much the policy allows.
        cure: What to do about it.
        window: What it is a limit of: "an hour", "a day", "an attempt", "for 'writer'"; empty: the run.
    """

    def __init__(self, limit: str, used: float, allowed: float, cure: str = "", window: str = "") -> None:
        advice = cure or f"raise Policy({limit}=...) if the run is worth it"
        what = " ".join(part for part in (_plain(allowed), limit, window) if part)
        super().__init__(f"the limit of {what} is reached ({_plain(used)} with the next call): {advice}")
        self.limit = limit
        self.window = window
        self.used = used
        self.allowed = allowed


def _plain(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".") if number % 1 else str(int(number))


class PriceUnknown(Permanent):
    """Money is limited and nobody knows what a model costs; the call was not made.

    Args:
        model: Its name.
    """

    def __init__(self, model: str) -> None:
        cure = f"set Policy(prices={{'{model}': (input, output)}}) or INTERLOCK_PRICE, in USD per million tokens"
        super().__init__(f"no price is known for model '{model}': {cure}")
        self.model = model


class CircuitOpen(Permanent):
    """It failed too often just now, so it was not asked; the fallback is due.

    Args:
        what: The model, tool or source.
        why: What it did.
        seconds: Until a probe is let through; 0: one is on its way.
    """

    def __init__(self, what: str, why: str, seconds: float) -> None:
        probe = f"next probe in {seconds:.3g} s" if seconds else "a probe is on its way"
        super().__init__(f"{what}: circuit open: {why}, {probe}")
        self.what = what
        self.why = why
        self.seconds = seconds


class RateLimited(Transient):
    """A provider's rate limit leaves no room before the deadline; the call was not made.

    Args:
        what: Whose limit it is.
        why: Which limit: of requests or tokens, ours or the provider's.
        retry_after: Seconds until there is room, as far as is known.
    """

    def __init__(self, what: str, why: str, retry_after: float) -> None:
        super().__init__(f"{what}: {why}: no room before the deadline, the next is in {retry_after:.3g} s", retry_after)
        self.what = what
        self.why = why


class Stopped(Interlock):
    """The run was told to stop while this node was running.

    Args:
        reason: Who stopped it and why.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Unsafe(Interlock):
    """`guard()` refuses the drawing; every hole is named with its cure.

    Args:
        holes: What `check` found, one line each.
    """

    def __init__(self, holes: Sequence[object]) -> None:
        lines = "\n".join(f"  {hole}" for hole in holes)
        super().__init__(f"the graph is not safe to run, {len(holes)} hole(s):\n{lines}")
        self.holes = tuple(holes)
