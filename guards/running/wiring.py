"""The one file that touches LangGraph's machinery at run time: reads and writes the `run` channel from inside a task.

Not all of it is public; langgraph is pinned and `tests/test_wiring.py` tells when it moves.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import Context
from itertools import takewhile
from typing import Any, Protocol

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tracers.langchain import LangChainTracer
from langgraph._internal._config import ensure_config, patch_config, recast_checkpoint_ns
from langgraph._internal._constants import CONFIG_KEY_CHECKPOINTER, CONFIG_KEY_SEND, INTERRUPT
from langgraph._internal._runnable import RunnableCallable, RunnableSeq, set_config_context
from langgraph.channels import BinaryOperatorAggregate
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.config import get_config
from langgraph.errors import GraphInterrupt
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel._read import ChannelRead
from langgraph.pregel._write import ChannelWrite, ChannelWriteEntry, ChannelWriteTupleEntry
from langgraph.types import Command

from guards.ending.reaper import reaper
from guards.errors import Permanent
from guards.running.attempt import contained
from guards.running.scope import close, scope_of
from state.guarded import Run, join

RUN = "run"


class Guards(Protocol):
    """What runs a node under guard (`guards.running.node.GuardedNode`)."""

    async def run(self, state: Any, config: RunnableConfig, context: Context) -> Any:
        """Run the node in these context variables."""


def read_run(config: RunnableConfig, fresh: bool = False) -> Run:
    """The run's record; with `fresh`, including what this task has written already."""
    found = ChannelRead.do_read(config, select=RUN)
    run = found if isinstance(found, Run) else Run()
    if fresh:  # LangGraph's own fresh read copies every channel
        for channel, delta in _writes(config):
            run = join(run, delta) if channel == RUN else run
    return run


def read_key(config: RunnableConfig, key: str) -> Any:
    """The value of a state key, before this task's own writes; None when it has none."""
    return ChannelRead.do_read(config, select=key)


def write_run(config: RunnableConfig, delta: Run) -> None:
    """Add a delta to the run's record.

    A node's delta and its router's become one write: of a key written twice LangGraph streams a list of updates.
    """
    writes = _writes(config)
    place = next((number for number, (channel, _) in enumerate(writes) if channel == RUN), None)
    if place is None:
        ChannelWrite.do_write(config, (ChannelWriteEntry(RUN, delta),))
    else:
        writes[place] = (RUN, join(writes[place][1], delta))


def _writes(config: RunnableConfig) -> Any:
    """The task's own queue of (channel, value) pairs."""
    return getattr(config["configurable"][CONFIG_KEY_SEND], "__self__", ())


def stamp_input(compiled: CompiledStateGraph[Any, Any, Any, Any], begin: Callable[[Iterable[str]], Run]) -> None:
    """Begin a new run record with every new input: it is saved with the input, before any node runs.

    It comes behind the input, so that no client brings a record of its own, and before the routers, which add to it.
    """
    start = compiled.nodes["__start__"]
    plain: list[Any] = list(takewhile(lambda writer: isinstance(writer, ChannelWrite), start.writers))
    start.writers[: len(plain)] = [_Start([write for writer in plain for write in writer.writes], begin)]


class _Start(ChannelWrite):
    """LangGraph's writer of the input, and behind the input the record; as two writers they would show in traces."""

    def __init__(self, writes: Sequence[Any], begin: Callable[[Iterable[str]], Run]) -> None:
        self.parts, self.begin = (writes[:1], writes[1:]), begin
        super().__init__(self._with(""))

    def _with(self, role: str) -> list[Any]:
        def record(given: Any) -> list[tuple[str, Run]]:
            keys = given if isinstance(given, Mapping) else getattr(given, "__dict__", ())
            return [(RUN, self.begin(keys).model_copy(update={"role": role}))]

        return [*self.parts[0], ChannelWriteTupleEntry(mapper=record), *self.parts[1]]

    def _write(self, input: Any, config: RunnableConfig) -> Any:
        return ChannelWrite._write(ChannelWrite(self._with(role_of(config))), input, config)

    async def _awrite(self, input: Any, config: RunnableConfig) -> Any:
        return self._write(input, config)


def show_run(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Make the record part of the output when the author's output schema does not name it."""
    if isinstance(compiled.output_channels, list) and RUN not in compiled.output_channels:
        compiled.output_channels.append(RUN)


class _RunChannel(BinaryOperatorAggregate[Run]):
    """The run's record; LangGraph tells every channel when the run's last superstep is done."""

    __slots__ = ()

    def finish(self) -> bool:
        scope = scope_of(self.value.id) if isinstance(self.value, Run) else None
        if scope is not None:
            reaper.end_of_run(scope)
            close(scope)
        return False


def reap_at_the_end(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Let what a run leaves alive be ended when it ends, before its caller gets the result."""
    channel = _RunChannel(Run, join)
    channel.key = RUN
    compiled.channels[RUN] = channel


def show_subgraph(compiled: CompiledStateGraph[Any, Any, Any, Any], node: str, inner: object) -> None:
    """Keep a wrapped subgraph visible to drawings and to streams."""
    if isinstance(inner, Pregel):
        compiled.nodes[node].subgraphs = [inner]


def keep(compiled: CompiledStateGraph[Any, Any, Any, Any], equip: Callable[[Any], None]) -> None:
    """Equip a graph and every copy of it, as servers make them; copies keep the types that checkpoints may hold.

    LangGraph's own copies forget those, so that in strict mode (LANGGRAPH_STRICT_MSGPACK) a record comes back as a
    dict.
    """
    types, plain = compiled._serde_allowlist, compiled.copy

    def copy(update: dict[str, Any] | None = None) -> CompiledStateGraph[Any, Any, Any, Any]:
        copied = plain(update)
        if types is not None:
            copied._serde_allowlist = types
        keep(copied, equip)
        return copied

    compiled.copy = copy  # type: ignore[method-assign]
    equip(compiled)


class GuardedSteps(RunnableSeq):
    """LangGraph's own sequence of a node and its writers, in which the guard runs the node.

    The sequence makes a task for the node anyway; here it is the guard that makes it, so a guarded node has as many
    tasks as a bare one. Where a callback handler listens the body is `RunnableSeq.ainvoke` but for the marked line;
    where nobody does, nobody is told.
    """

    def __init__(self, guarded: Guards, steps: Sequence[Runnable[Any, Any]], trace_policy: Any) -> None:
        super().__init__(*steps, trace_policy=trace_policy)
        self.guarded = guarded

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node under its guard, then its writers."""
        config = ensure_config() if config is None else config
        if _unheard(config.get("callbacks")):
            return await self._quietly(input, config)
        run_manager = await self._astart(input, config)
        try:
            for number, step in enumerate(self.steps, 1):
                config = patch_config(config, callbacks=run_manager.get_child(f"seq:step:{number}"))
                if number == 1:
                    with set_config_context(config, _traced(run_manager)) as context:
                        input = await self.guarded.run(input, config, context)  # the guard, not a bare task
                else:
                    input = await step.ainvoke(input, config)
        except BaseException as error:
            await run_manager.on_chain_error(error)
            raise
        await self._aend(run_manager, input)
        return input

    async def _quietly(self, input: Any, config: RunnableConfig) -> Any:
        """The same without a word to callback handlers: half of what a node costs that does nothing."""
        config = patch_config(config, callbacks=config.get("callbacks"))
        with set_config_context(config, None) as context:
            input = await self.guarded.run(input, config, context)
        for step in self.steps[1:]:
            input = await step.ainvoke(input, config)
        return input


def _unheard(callbacks: Any) -> bool:
    """Whether no handler listens to the graph; tracers are handlers too. The meter is found by each call itself."""
    return isinstance(callbacks, AsyncCallbackManager) and not (callbacks.handlers or callbacks.inheritable_handlers)


def _traced(run_manager: Any) -> Any:
    """The tracer's run of this node, if it is traced."""
    for handler in run_manager.handlers:
        if isinstance(handler, LangChainTracer):
            return handler.run_map.get(str(run_manager.run_id))
    return None


def run_under_guard(compiled: CompiledStateGraph[Any, Any, Any, Any], node: str, guarded: Guards) -> None:
    """Let the guard run a compiled node in the place of LangGraph's own task for it."""
    spec = compiled.nodes[node]
    if isinstance(spec.node, RunnableSeq):
        steps = GuardedSteps(guarded, spec.node.steps, spec.trace_policy)
        spec.__dict__["node"] = steps  # a cached property: filled before its first use


def node_runnable(name: str, function: Callable[..., Any]) -> Runnable[Any, Any]:
    """A runnable that LangGraph runs as a node or as a router."""
    return RunnableCallable(None, function, name=name, trace=False)


def held(path: Runnable[Any, Any]) -> Runnable[Any, Any]:
    """A router whose `sys.exit()` stays its own failure: LangGraph runs routers in tasks, where it ends the process."""
    if not isinstance(path, RunnableCallable) or path.afunc is None:
        return path
    decide, own = path.afunc, copy.copy(path)

    async def answer(*args: Any, **kwargs: Any) -> Any:
        return await contained(decide(*args, **kwargs))

    own.afunc = answer
    return own


def thread_of(config: RunnableConfig) -> tuple[str, str]:
    """The thread id and a key for this graph on it (sub-agents share their caller's thread, not its place)."""
    configurable = config.get("configurable") or {}
    thread = str(configurable.get("thread_id") or "")
    place = str(configurable.get("checkpoint_ns") or "").rpartition("|")[0]
    return thread, f"{thread}|{place}" if thread else ""


def tenant_of(config: RunnableConfig) -> str:
    """Who a run is for: `configurable.tenant`; empty when nobody says it."""
    return str((config.get("configurable") or {}).get("tenant") or "")


def role_of(config: RunnableConfig) -> str:
    """What the caller may do: `configurable.role`; empty when nobody says it."""
    return str((config.get("configurable") or {}).get("role") or "")


def was_sent(config: RunnableConfig) -> bool:
    """Whether this task got a payload (`Send`) and not the state."""
    return "__pregel_push" in ((config.get("metadata") or {}).get("langgraph_triggers") or ())


def step_of(config: RunnableConfig) -> tuple[str, str]:
    """Names of the step (the checkpoint that it starts from) and of this task in it; both stay in a resume."""
    configurable = config.get("configurable") or {}
    return str(configurable.get("checkpoint_map")), str(configurable.get("checkpoint_ns"))


def steps_left(config: RunnableConfig) -> float:
    """Supersteps that may follow this one under the `recursion_limit` of the run's config."""
    scratchpad = (config.get("configurable") or {}).get("__pregel_scratchpad")
    return float("inf") if scratchpad is None else scratchpad.stop - scratchpad.step - 1


def next_question() -> int:
    """The place of the running task's next interrupt among its interrupts, from 0."""
    scratchpad = (get_config().get("configurable") or {}).get("__pregel_scratchpad")
    counter = getattr(getattr(scratchpad, "interrupt_counter", None), "_counter", None)
    return 0 if counter is None else next(copy.copy(counter.__self__))


def answers_given(config: RunnableConfig) -> int:
    """How many answers people have given a task that has not begun; LangGraph forgets which of them it handed out."""
    scratchpad = (config.get("configurable") or {}).get("__pregel_scratchpad")
    return 0 if scratchpad is None else len(scratchpad.resume) + (scratchpad.get_null_resume(False) is not None)


async def asked_before(config: RunnableConfig) -> tuple[Any, ...]:
    """What this task asked a person last, before it began anew with the answer; the checkpoint remembers it."""
    configurable = config.get("configurable") or {}
    saver = configurable.get(CONFIG_KEY_CHECKPOINTER)
    graph, _, task = str(configurable.get("checkpoint_ns") or "").rpartition("|")
    if not isinstance(saver, BaseCheckpointSaver):
        return ()
    place = {"thread_id": configurable.get("thread_id"), "checkpoint_ns": graph}
    saved = await saver.aget_tuple({"configurable": place})
    writes = (saved.pending_writes or ()) if saved is not None else ()
    own = [value for ident, channel, value in writes if channel == INTERRUPT and ident == task.rpartition(":")[2]]
    return tuple(interrupt.value for interrupts in own for interrupt in interrupts)


def ask_anew(config: RunnableConfig) -> None:
    """Let another attempt of a task ask its questions from the first one on, so that it finds the answers again."""
    scratchpad = (config.get("configurable") or {}).get("__pregel_scratchpad")
    if scratchpad is not None:
        scratchpad.interrupt_counter._counter = None


def can_resume(config: RunnableConfig) -> bool:
    """Whether a checkpointer keeps the run, so that it can wait for a person or go on after a crash."""
    return bool((config.get("configurable") or {}).get(CONFIG_KEY_CHECKPOINTER))


def paused_or_lost(error: GraphInterrupt, config: RunnableConfig) -> Exception:
    """What code that waits for a person raises: LangGraph's pause, or a failure if nothing keeps the run meanwhile.

    Without a checkpointer LangGraph would end the run there, as a success.
    """
    if can_resume(config):
        return error
    cure = "compile with graph.copy(update={'checkpointer': saver})"
    return Permanent(f"it waits for a person and no checkpointer keeps the run meanwhile: {cure}")


def addressed_here(command: Command[Any], config: RunnableConfig, node: str) -> bool:
    """Whether a command that left a subgraph is for the graph that this node is in."""
    place = str((config.get("configurable") or {}).get("checkpoint_ns") or "")
    return command.graph in (place, recast_checkpoint_ns(place), node)


def graphs_above(config: RunnableConfig) -> frozenset[str]:
    """The names under which a command may leave this graph; none when no graph is around it."""
    above = str((config.get("configurable") or {}).get("checkpoint_ns") or "").split("|")[:-1]
    names = [recast_checkpoint_ns(part) for part in above]
    ways = ["|".join(above[:end]) for end in range(1, len(above) + 1)]
    return frozenset((*names, *ways, *map(recast_checkpoint_ns, ways), Command.PARENT)) if above else frozenset()


def resumed_by_person(config: RunnableConfig) -> bool:
    """Whether this task goes on after an interrupt that somebody answered."""
    return answers_given(config) > 0
