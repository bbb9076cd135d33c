"""View: the live picture of a run, a line a stage, and below them what was spent and how much time is left."""

import time
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from interlock.events import Event
from interlock.progress import STAGES, asking, counted, lost
from interlock.terminal import line

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
        self.last = Event("", "", "running")
        self.spinner = Spinner("dots", style="cyan")

    def show(self, event: Event) -> None:
        """Take an event in; the screen follows by itself."""
        past = self.stages.setdefault(event.stage, [])
        if past and past[-1].state == "running":
            past.pop()
        past.append(event)
        self.last = event

    def __rich__(self) -> "RenderableType":
        """The picture as it is now."""
        table = Table.grid(padding=(0, 1))
        for justify in ("left", "left", "right", "left"):
            table.add_column(justify=justify, no_wrap=True, overflow="ellipsis")
        for stage, past in list(self.stages.items()):
            table.add_row(*self._row(stage, list(past)))
        return Group(self._line(self.title, "bold"), table, self._line(self._below(), "dim"))

    def _line(self, text: str, style: str) -> Text:
        return Text(text, style, no_wrap=True, overflow="ellipsis")

    def _row(self, stage: str, past: list[Event]) -> "tuple[RenderableType, ...]":
        name = STAGES.get(stage, line(stage, 30))
        if not past:
            return Text("·", "dim"), Text(name, "dim"), "", ""
        if past[-1].state == "running":
            return self.spinner, Text(name), "", Text(_note(past), "cyan")
        mark, style = MARKS.get(past[-1].state, LOST)
        seconds = Text(f"{sum(event.seconds for event in past):.1f} s", "dim")
        return Text(mark, style), Text(name), seconds, Text(_note(past), style if style == "red" else "")

    def _below(self) -> str:
        spent, deadline = self.last.spent, self.last.deadline
        tokens = spent.input_tokens + spent.output_tokens
        parts = [counted(spent.calls, "call"), counted(tokens, "token"), f"${spent.dollars:.4f}"]
        if deadline is not None:
            parts.append(f"{max(0.0, deadline - time.time()):.0f} s left")
        return " · ".join([*parts, f"run {self.last.run[:12]}", "Ctrl-C ends with what was found"])


def _note(past: list[Event]) -> str:
    """What there is to say about a stage: why it was lost, what it found, what it is doing, how often it ran."""
    last, found = past[-1], sum(event.found or 0 for event in past)
    parts = [
        lost(last) if last.state not in ("ok", "running", "skipped") else "",
        asking(last) if last.state == "running" and last.places else "",
        counted(found, "finding") if found else "",
        f"{len(past)} times" if len(past) > 1 else "",
    ]
    return ", ".join(filter(None, parts))
