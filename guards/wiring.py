"""The one file that touches LangGraph's machinery at run time: reads and writes the `run` channel from inside a task.

Not all of it is public; langgraph is pinned and `tests/test_wiring.py` tells when it moves.
"""

from collections.abc import Callable
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph._internal._runnable import RunnableCallable
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from langgraph.pregel._read import ChannelRead
from langgraph.pregel._write import ChannelWrite, ChannelWriteEntry, ChannelWriteTupleEntry

from state.guarded import Run

RUN = "run"


def read_run(config: RunnableConfig, fresh: bool = False) -> Run:
    """The run's record; with `fresh`, including what this task has written already."""
    found = ChannelRead.do_read(config, select=RUN, fresh=fresh)
    return found if isinstance(found, Run) else Run()


def write_run(config: RunnableConfig, delta: Run) -> None:
    """Add a delta to the run's record."""
    ChannelWrite.do_write(config, (ChannelWriteEntry(RUN, delta),))


def stamp_input(compiled: CompiledStateGraph[Any, Any, Any, Any], begin: Callable[[], Run]) -> None:
    """Begin a new run record with every new input: it is saved with the input, before any node runs."""
    compiled.nodes["__start__"].writers.append(
        ChannelWrite((ChannelWriteTupleEntry(mapper=lambda _input: [(RUN, begin())]),))
    )


def show_run(compiled: CompiledStateGraph[Any, Any, Any, Any]) -> None:
    """Make the record part of the output when the author's output schema does not name it."""
    if isinstance(compiled.output_channels, list) and RUN not in compiled.output_channels:
        compiled.output_channels.append(RUN)


def show_subgraph(compiled: CompiledStateGraph[Any, Any, Any, Any], node: str, inner: object) -> None:
    """Keep a wrapped subgraph visible to drawings and to streams."""
    if isinstance(inner, Pregel):
        compiled.nodes[node].subgraphs = [inner]


def node_runnable(name: str, function: Callable[..., Any]) -> Runnable[Any, Any]:
    """A runnable that LangGraph runs as a node or as a router."""
    return RunnableCallable(None, function, name=name, trace=False)


def thread_of(config: RunnableConfig) -> tuple[str, str]:
    """The thread id and a key for this graph on it (sub-agents share their caller's thread, not its place)."""
    configurable = config.get("configurable") or {}
    thread = str(configurable.get("thread_id") or "")
    place = str(configurable.get("checkpoint_ns") or "").rpartition("|")[0]
    return thread, f"{thread}|{place}" if thread else ""


def resumed_by_person(config: RunnableConfig) -> bool:
    """Whether this task goes on after an interrupt that somebody answered."""
    scratchpad = (config.get("configurable") or {}).get("__pregel_scratchpad")
    return bool(scratchpad is not None and (scratchpad.resume or scratchpad.get_null_resume(False) is not None))
