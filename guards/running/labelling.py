"""Labelling: which labels one execution of a node begins with, and which its update gets (`state.label`)."""

from collections.abc import Iterable
from functools import reduce
from operator import or_
from typing import Any

from langchain_core.runnables import RunnableConfig

from guards.running.current import current_attempt
from guards.running.node_plan import NodePlan
from guards.running.scope import Scope
from guards.running.wiring import read_key, was_sent
from guards.taint.taint import CLEAR, Taint, around, beginning
from state.guarded import Run
from state.label import PROGRAM, Label


class Labelling:
    """The labels of one execution; where the graph keeps none, those of the agent around it go on.

    Attributes:
        taint: What the last attempt has read.
        labels: Of the keys that were written, as far as they widen.
    """

    def __init__(self, plan: NodePlan, run: Run, scope: Scope, config: RunnableConfig) -> None:
        self.plan, self.run, self.scope, self.config = plan, run, scope, config
        self.taint = CLEAR
        self.labels: dict[str, Label] = {}

    def begin(self) -> Taint:
        """Where the texts of an attempt come from, as far as is known when it begins."""
        if not self.plan.labelled:
            return around()
        known = f"{self.run.vouched} {self.scope.taint[1]}".strip()
        return beginning(self.plan.policy.acts, self._read, self._shown_label(), known, around())

    def end(self, taint: Taint) -> None:
        """What an attempt has read counts for the run, in this process at once, and for the agent around it."""
        if not self.plan.labelled:
            return
        self.scope.taint = self.scope.taint[0] | taint.label, taint.vouched
        self.taint = taint
        above = current_attempt.get()
        if above is not None and above.taint is not None and above.taint.kept:
            above.taint.widen(taint.label)

    def wrote(self, keys: Iterable[str]) -> None:
        """Each value that was written gets the label of all that the node has read, unless a gate cleared it."""
        may, known = self.plan.may, self.taint.label
        for key in keys if self.plan.labelled else ():
            label = known if may is None else may.written(key, known, self.plan.name)
            held = self.run.labels.get(key, PROGRAM)
            if not label <= held:
                self.labels[key] = self.labels.get(key, PROGRAM) | label

    def widened(self) -> Label:
        """What the run's record does not hold yet."""
        return PROGRAM if self.taint.label <= self.run.taint else self.taint.label

    def _shown_label(self) -> Label:
        """Of what the node is shown: of its keys, where it says which; of all that the run has read, where it does not.

        A payload that a router sent says nothing of where it comes from.
        """
        may = self.plan.may
        if may is None or was_sent(self.config):
            return self.run.taint | self.scope.taint[0] | (PROGRAM if may is None else may.brought)
        labels = {id(label): label for key in may.reads if (label := self.run.labels.get(key)) is not None}
        return reduce(or_, labels.values(), may.brought)

    def _read(self, key: str) -> Any:
        return read_key(self.config, key)
