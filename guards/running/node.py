"""The guarded node: bounded, counted, never raising, so that every edge and every join behind it fires.

A failure becomes an entry in `run.missing` and the node's fallback, or, where there is none, the end of the run. An
ending run walks the shortest way out: nodes are passed over, except those that close it.
"""

import asyncio
import logging
import math
import time
from contextvars import Context, copy_context
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.errors import GraphBubbleUp, GraphInterrupt, ParentCommand
from langgraph.types import Command

from guards.calls.calls import leave_open_calls
from guards.calls.meter import METER
from guards.clean import washed
from guards.degrade import half, in_force, narrower, step_down
from guards.errors import Permanent, Refused, TimedOut
from guards.ledger.afford import affordable, within
from guards.ledger.ledger import earlier, settled
from guards.remember import newly_barred
from guards.running.attempt import NOTHING, Attempt
from guards.running.current import current_attempt
from guards.running.fields import check_fields
from guards.running.labelling import Labelling
from guards.running.losses import REASON_LENGTH, line, loss
from guards.running.node_plan import NodePlan
from guards.running.retry import again, is_transient
from guards.running.scope import claim_thread, enter, idle, stop_request
from guards.running.tracing import name_trace
from guards.running.update import (
    check_update,
    handing_up,
    keys_of,
    merged,
    narrowed_update,
    with_key,
    without_key,
    written,
)
from guards.running.wiring import (
    RUN,
    addressed_here,
    answers_given,
    ask_anew,
    asked_before,
    can_resume,
    graphs_above,
    paused_or_lost,
    read_key,
    read_run,
    role_of,
    step_of,
    tenant_of,
    thread_of,
    write_run,
)
from guards.taint.agent import check_written, shown
from guards.taint.taint import Taint
from guards.text.sweep import hidden
from state.guarded import Ceiling, Missing, Run, Spent, Status, join
from state.remembered import Remembered

log = logging.getLogger("interlock")


class GuardedNode:
    """One execution-independent wrapper around a node's runnable."""

    def __init__(self, plan: NodePlan) -> None:
        self.plan = plan

    async def __call__(self, state: Any, config: RunnableConfig) -> Any:
        """Run the node within its limits and add what happened to the run's record."""
        return await self.run(state, config, copy_context())

    async def run(self, state: Any, config: RunnableConfig, context: Context) -> Any:
        """The same, with the context variables that the node is to see."""
        task = _Task(self.plan, state, config, context)
        name_trace(config, task.run.trace_id)
        result = await task.outcome()
        delta = task.delta()
        write_run(config, delta)
        return handing_up(result, lambda: join(task.run, delta))


class _Task:
    """One execution of a guarded node."""

    def __init__(self, plan: NodePlan, state: Any, config: RunnableConfig, context: Context) -> None:
        self.plan = plan
        self.context = context
        self.state = state
        self.config = config
        self.run = read_run(config)
        self.base = None if self.run.id else plan.begin()
        self.run = self.base or self.run
        self.began = time.time()
        self.answers = answers_given(config)
        self.paused = _paused(self.run, self.answers, self.began)
        thread, self.place = thread_of(config)
        self.task = step_of(config)[1]
        self.scope = enter(self.run, thread, plan.policy, tenant_of(config), role_of(config))
        if self.run.ceiling is not None and plan.policy.when_short == "shrink":
            self.scope.policy = within(plan.policy, self.run.ceiling)
        self.spent = NOTHING
        self.ceiling: Ceiling | None = None
        self.missing: list[Missing] = []
        self.labelling = Labelling(plan, self.run, self.scope, config)
        self.stop = ""
        self.refusal = ""
        self.degraded: tuple[str, ...] = ()

    async def outcome(self) -> Any:
        """The node's update, its fallback's, or none."""
        try:
            await self._take_over_books()
            return self._adopt(await self._cleaned(await self._work()))
        except GraphBubbleUp:
            raise
        except Exception as error:
            return await self._lost(error)
        finally:
            await self._close_books()

    async def _work(self) -> Any:
        self._claim_thread()
        self._note_stop_request()
        self._count_quorums()
        if not self._ending():
            await self._begin()
            return await self._degraded()
        if self.plan.closing:
            return await self._close(self.plan.body)
        return await self._plan_without(self.plan.plain)

    async def _take_over_books(self) -> None:
        """A task that was executed before has used something already, which no record tells."""
        if self.scope.foreign or self.task in self.scope.called:
            self.spent = await earlier(self.scope, self.task, self._left(True))

    async def _close_books(self) -> None:
        """What the record tells is in the store too, where somebody may go on from the record."""
        if self.task in self.scope.called and can_resume(self.config):
            await settled(self._left(True))

    async def _begin(self) -> None:
        """Know what a new run may take, before it takes anything, and whether that is left."""
        if self.run.ceiling is not None or self.run.spent.calls:
            return
        if self.scope.beginning is None:  # one look for all nodes of the first step
            self.scope.beginning = asyncio.ensure_future(self._reckoned())
        begun = self.scope.beginning
        self.ceiling, told = begun.result() if begun.done() else await asyncio.shield(begun)
        self.missing.extend(told)

    async def _reckoned(self) -> tuple[Ceiling | None, tuple[Missing, ...]]:
        most = await self.plan.ceiling()
        if most is None or self.scope.foreign:
            return most, ()
        most, told = await affordable(self.plan.policy, self.scope.tenant, most)
        self.scope.policy = within(self.plan.policy, most) if told else self.scope.policy
        return most, told

    async def _degraded(self) -> Any:
        """The node as the run can still afford it."""
        steps = self._steps_down()
        if not steps:
            return await self._attempts()
        if self._is_spared(steps):
            self._note(Missing(what=self.plan.name, status="skipped", reason="not started: fewer branches"))
            return self._routed(None)
        if "extractive" in steps and self.plan.plain is not None:
            return await self._plan_without(self.plan.plain)
        if "sequential" not in steps:
            return await self._attempts()
        self.scope.turn = self.scope.turn or asyncio.Lock()
        async with self.scope.turn:
            return await self._attempts()

    def _steps_down(self) -> frozenset[str]:
        if self.plan.policy.degrade:
            added = step_down(self.scope, self.run, self.plan.policy, self.paused)
            self.missing.extend(added.missing)
            self.degraded = added.degraded
        return in_force(current_attempt.get()).union(self.scope.degraded)

    def _is_spared(self, steps: frozenset[str]) -> bool:
        """Whether it is one of the branches that are given up."""
        if self.plan.place is None:
            return False
        kept = 1 if "single agent" in steps else half(self.plan.branches) if "fewer branches" in steps else math.inf
        return self.plan.branches > 1 and self.plan.place >= kept

    async def _attempts(self) -> Any:
        try:
            return await self._attempt(self.plan.body)
        except Exception as error:
            if self.plan.policy.attempts == 1 or not is_transient(error):
                raise
            return await again(self._attempt_anew, error, self.plan.policy.attempts, self._patience)

    async def _attempt_anew(self) -> Any:
        ask_anew(self.config)
        return await self._attempt(self.plan.body)

    async def _attempt(self, body: Runnable[Any, Any]) -> Any:
        """One try of the node, no longer than its time-out and what the run has left.

        With a fallback it gets no more than half of what is left: when it hangs, the rest has time to go on without it.
        """
        left = self._left(self.plan.closing)
        seconds = _least(self.plan.policy.timeout, left if self.plan.plain is None else left / 2)
        if seconds <= 0:
            raise TimedOut("run", self.plan.policy.seconds or 0.0)
        try:
            return await self._bounded(body, seconds, stoppable=not self.plan.closing)
        except TimedOut as error:
            error.limit = "run" if self._left(self.plan.closing) <= 0 else error.limit
            raise

    async def _close(self, body: Runnable[Any, Any]) -> Any:
        """One try in an ending run: half of what is left, so that the next closing node has time too."""
        return await self._bounded(body, _least(self.plan.policy.timeout, max(0.05, self._left(True) / 2)), False)

    async def _bounded(self, body: Runnable[Any, Any], seconds: float, stoppable: bool) -> Any:
        taint = self.labelling.begin()
        attempt = Attempt(
            self.scope,
            seconds,
            METER,
            node=self.plan.name,
            place=self.task,
            limits=self.plan.policy.per_attempt,
            taint=taint,
            may=self.plan.may,
            answers=self.answers,
            asked=await asked_before(self.config) if self.answers else (),
        )
        try:
            return await attempt.run(body.ainvoke(self._shown(), self.config), self.context, stoppable)
        except ParentCommand as error:
            if addressed_here(error.args[0], self.config, self.plan.name):
                return replace(error.args[0], graph=None)
            raise
        except Exception as error:
            raise self._final(error, taint) from error.__cause__
        finally:
            leave_open_calls(attempt)
            self.labelling.end(taint)
            if attempt.spent is not NOTHING:
                self.spent = self.spent + attempt.spent
            if attempt.abandoned:
                log.warning("node left behind", extra={"node": self.plan.name, "trace_id": self.run.trace_id})

    async def _lost(self, error: Exception) -> Any:
        """The node's own way failed: record it, end the run if it must end, take the fallback if there is one."""
        self._record(error)
        if self.plan.withhold is not None:
            return self._routed(self.plan.withhold(self.state))
        return await self._plan_without(self.plan.plain)

    async def _plan_without(self, plain: Runnable[Any, Any] | None) -> Any:
        """The plan that needs no agent, if there is one and the run was not refused."""
        if plain is None or self.run.refusal or self.refusal:
            return self._routed(None)
        if self._ending() and not any(entry.what == self.plan.name for entry in self.missing):
            self._note(Missing(what=self.plan.name, status="stopped", reason=self._why_ending()))
        try:
            return self._routed(self._adopt(await self._cleaned(await self._close(plain))))
        except GraphBubbleUp:
            raise
        except Exception as error:
            self._note(loss(f"{self.plan.name} (fallback)", error, self._elapsed()))
            self.stop = self.stop or f"{self.plan.name}: its fallback failed too: {line(error)}"
            return self._routed(None)

    def _final(self, error: Exception, taint: Taint) -> Exception:
        """What an attempt failed with; one that has changed the world does not begin anew and change it twice."""
        acted = taint.acted if taint.kept else ""
        if isinstance(error, GraphInterrupt):
            asks_late = Permanent(f"it waits for a person and has called '{acted}' already: ask before it acts")
            return asks_late if acted else paused_or_lost(GraphInterrupt(hidden(error.args[0])), self.config)
        if acted and is_transient(error):
            return Permanent(f"{line(error)}; it has called '{acted}', so it is not tried again")
        return error

    def _shown(self) -> Any:
        """The state as the agent may see it."""
        may = self.plan.may
        return self.state if may is None else shown(self.state, may, self.plan.name)

    def _routed(self, result: Any) -> Any:
        """Name the way out for a node whose own routing was lost with it."""
        if not self.plan.way_out or isinstance(result, Command):
            return result
        return Command(update=result, goto=self.plan.way_out)

    def _record(self, error: Exception) -> None:
        if isinstance(error, Refused):
            self.refusal = error.reason[:REASON_LENGTH]
            return
        self._note(loss(self.plan.name, error, self._elapsed(), self.plan.optional))
        log.warning(
            "node lost", extra={"node": self.plan.name, "trace_id": self.run.trace_id, "error": type(error).__name__}
        )
        self._note_stop_request()
        if isinstance(error, TimedOut) and error.limit == "run":
            self.stop = self.stop or f"time limit of {self.plan.policy.seconds:g} s reached"
        elif not (self.plan.branch or self.plan.plain or self.plan.withhold or self._ending()):
            self.stop = f"{self.plan.name}: {line(error)}"

    def _adopt(self, result: Any) -> Any:
        """Check a result, cut what it sends at the cap, and take over what it says about the run."""
        result = hidden(result)
        check_update(result, self.plan.targets, self._above, self.plan.reducers, self._read)
        if self.plan.fields:
            check_fields(self.plan.fields, written(result), self._merged)
        self._claim_keys(result)
        self._tell_barred(result)
        result, records = without_key(result, RUN)
        if self.plan.may is not None:
            check_written(written(result), self.plan.may, self.plan.name)
        self.labelling.wrote(keys_of(result))
        for record in records:
            self._take_over(record)
        result, lost = narrowed_update(result, narrower(self.plan.policy.fan_out, self.scope.degraded))
        self.missing.extend(lost)
        return result

    async def _cleaned(self, result: Any) -> Any:
        """What must leave clean is kept clean."""
        keys = [key for key in keys_of(result) if key in self.plan.cleaned] if self.plan.cleaned else []
        for key in keys:
            result, values = without_key(result, key)
            for value in values:
                clean, lost = await washed(self.plan.cleaned[key], key, value)
                self.missing.extend(lost)
                result = with_key(result, key, clean)
        return result

    def _tell_barred(self, result: Any) -> None:
        """Agents that this update keeps out of a memory from now on."""
        for key, value in written(result):
            if isinstance(value, Remembered):
                self.missing.extend(newly_barred(self._read(key), self._merged(key, value)))

    def _above(self) -> frozenset[str]:
        return graphs_above(self.config)

    def _read(self, key: str) -> Any:
        return read_key(self.config, key)

    def _merged(self, key: str, value: Any) -> Any:
        return merged(value, self.plan.reducers.get(key), self._read(key))

    def _take_over(self, record: Any) -> None:
        """Losses that the node names itself, or the record of a guarded sub-agent; nobody rewrites this run's own."""
        if not isinstance(record, Run):
            raise Permanent("'run' is the guard's record: return Run(missing=(Missing(...),)) to add to it")
        if not record.id:
            self.missing.extend(record.missing)
            self.stop, self.refusal = self.stop or record.stop, self.refusal or record.refusal
        elif record.id != self.run.id:
            for entry in record.missing:
                self._note(entry.model_copy(update={"what": f"{self.plan.name}/{entry.what}"}))
            if record.ending:
                status: Status = "refused" if record.refusal else "stopped"
                self._note(Missing(what=self.plan.name, status=status, reason=record.stop_reason))

    def _claim_keys(self, result: Any) -> None:
        """What `check` could not see beforehand: two nodes of one step write a key that has no reducer."""
        step, task = step_of(self.config)
        for key in self.plan.single.intersection(keys_of(result)):
            if other := self.scope.claim_key(key, step, task).partition(":")[0]:
                raise Permanent(f"'{other}' wrote '{key}' in the same step and it has no reducer: give it one")

    def delta(self) -> Run:
        """What this execution adds to the run's record."""
        spent = Spent(seconds=max(0.0, time.time() - self.run.started - self.paused))
        if self.spent is not NOTHING:
            spent = self.spent + spent
        delta = Run(
            spent=spent,
            ceiling=self.ceiling,
            paused=self.paused,
            degraded=self.degraded,
            missing=hidden(tuple(self.missing)) if self.missing else (),
            stop=hidden(self.stop),
            refusal=hidden(self.refusal),
            taint=self.labelling.widened(),
            labels=self.labelling.labels,
            vouched=self.labelling.taint.vouched,
        )
        return delta if self.base is None else join(self.base, delta)

    def _claim_thread(self) -> None:
        older = claim_thread(self.scope, self.place)
        if older is not None:
            raise Refused(f"run {older.id} is using this thread: wait for it or take another thread_id")

    def _note_stop_request(self) -> None:
        request = stop_request(self.scope)
        if request is not None and not self.run.ending:
            self.stop = request.reason

    def _count_quorums(self) -> None:
        """The join of a gathering says so when too few of its branches came back."""
        lost = {entry.what for entry in self.run.missing}
        for gathering in self.plan.quorums:
            ok = sum(branch not in lost for branch in gathering.branches)
            if ok < (gathering.min_ok or 0):
                reason = f"{ok} of {len(gathering.branches)} branches came back, {gathering.min_ok} are needed"
                self._note(Missing(what=f"quorum of {self.plan.name}", reason=reason))

    def _note(self, entry: Missing) -> None:
        self.missing.append(entry)

    def _ending(self) -> bool:
        return self.run.ending or bool(self.stop or self.refusal)

    def _why_ending(self) -> str:
        return self.run.stop or self.stop

    def _left(self, closing: bool) -> float:
        return self.scope.deadline(closing, self.paused) - time.time()

    def _patience(self) -> float:
        return _least(self.plan.policy.timeout, self._left(self.plan.closing))

    def _elapsed(self) -> float:
        return round(time.time() - self.began, 3)


def _least(timeout: float | None, left: float) -> float:
    return left if timeout is None else min(timeout, left)


def _paused(run: Run, answers: int, now: float) -> float:
    """Seconds that the run has stood still or waited for a person: they do not count against its deadline."""
    if not answers:
        return idle(run)
    return max(idle(run), now - run.started - run.spent.seconds)
