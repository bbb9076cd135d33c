"""View: the live picture of a run, a line a stage, and below them what was spent and how much time is left."""

import time
from typing import TYPE_CHECKING, Final

from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from interlock.events import Event
from interlock.progress import STAGES, lost
from interlock.terminal import line
from state.guarded import Spent

if TYPE_CHECKING:
    from rich.console import RenderableType

MARKS: Final = {"ok": ("✓", "green"), "skipped": ("–", "dim"), "stopped": ("■", "yellow")}
LOST: Final = ("✗", "red")


class View:
    """What `rich.live.Live` draws again and again. Sources' texts are shown as text, never as markup.

    Args:
        title: The question.
    """

    def __init__(self, title: str) -> None:
        self.title = line(title, 200)
        self.stages: dict[str, list[Event]] = {stage: [] for stage in STAGES}
        self.spent = Spent()
        self.deadline: float | None = None
        self.spinner = Spinner("dots", style="cyan")

    def show(self, event: Event) -> None:
        """Take an event in; the screen follows by itself."""
        past = self.stages.setdefault(event.stage, [])
        if past and past[-1].state == "running":
            past.pop()
        past.append(event)
        self.spent, self.deadline = event.spent, event.deadline

    def __rich__(self) -> "RenderableType":
        """The picture as it is now."""
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        table.add_column(justify="right", style="dim", no_wrap=True)
        for stage, past in list(self.stages.items()):
            table.add_row(*self._row(stage, list(past)))
        whole = Table.grid()
        whole.add_row(Text(self.title, style="bold", no_wrap=True, overflow="ellipsis"))
        whole.add_row(table)
        whole.add_row(Text(self._below(), style="dim", no_wrap=True, overflow="ellipsis"))
        return whole

    def _row(self, stage: str, past: list[Event]) -> "tuple[RenderableType, ...]":
        name = STAGES.get(stage, line(stage, 30))
        if not past:
            return Text("·", "dim"), Text(name, "dim"), "", ""
        last = past[-1]
        if last.state == "running":
            return self.spinner, Text(name), Text(_note(past), "cyan"), ""
        mark, style = MARKS.get(last.state, LOST)
        seconds = sum(event.seconds for event in past)
        return Text(mark, style), Text(name), Text(_note(past), style if mark == "✗" else ""), f"{seconds:.1f} s"

    def _below(self) -> str:
        spent = self.spent
        parts = [
            f"{spent.calls} calls",
            f"{spent.input_tokens + spent.output_tokens:,} tokens",
            f"${spent.dollars:.4f}",
        ]
        if self.deadline is not None:
            parts.append(f"{max(0.0, self.deadline - time.time()):.0f} s left")
        return " · ".join([*parts, "Ctrl-C ends with what was found"])


def _note(past: list[Event]) -> str:
    """What there is to say about a stage: why it was lost, what it found, how often it ran."""
    last = past[-1]
    if last.state not in ("ok", "running", "skipped"):
        return lost(last)
    found = [event.found for event in past if event.found is not None]
    rounds = f"round {len(past)}" if len(past) > 1 else ""
    return ", ".join(filter(None, [f"{sum(found)} findings" if sum(found) else "", rounds]))
