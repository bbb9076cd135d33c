"""Limits: what one window of time, one role or one attempt may use at most."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on one sum. `None` means off.

    Attributes:
        calls: Model calls, every HTTP attempt counted.
        input_tokens: Tokens sent.
        output_tokens: Tokens received.
        tokens: Both together.
        dollars: Money, USD.
        tool_calls: Calls of LangChain tools.
        seconds: Wall seconds of model and tool calls, added up; of an attempt, its own wall seconds.

    Raises:
        ValueError: A limit is negative.
    """

    calls: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    tokens: int | None = None
    dollars: float | None = None
    tool_calls: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.set():
            if not value >= 0:
                raise ValueError(f"Limits({name}={value!r}): must not be negative; None is off")

    def set(self) -> list[tuple[str, float]]:
        """The limits that are on, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return [(name, value) for name, value in values if value is not None]
