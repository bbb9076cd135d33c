"""The load of `bench.ledger_kills`: a process that calls a model, wide and without end, until it is killed."""

import asyncio
import logging
import os
from multiprocessing.connection import Connection
from operator import add
from typing import Annotated, Any

from typing_extensions import TypedDict

WIDTH = 8
RUNS = 3


class State(TypedDict):
    """What the branches write."""

    log: Annotated[list[str], add]


def work(url: str, store: str, budget: int, told: Connection) -> None:
    """Call the model until somebody kills this process."""
    os.environ["INTERLOCK_STORE"] = store
    logging.disable()  # thousands of refusals
    asyncio.run(_work(url, budget, told))


async def _work(url: str, budget: int, told: Connection) -> None:
    graph = _graph(url, budget)

    async def for_ever() -> None:
        while True:
            await graph.ainvoke({"log": []})

    told.send("ready")
    await asyncio.gather(*(for_ever() for _ in range(RUNS)))


def _graph(url: str, budget: int) -> Any:
    from langchain_openai import ChatOpenAI
    from langgraph.graph import END, START, StateGraph

    from guards import Limits, Policy, gather, guard

    chat = ChatOpenAI(model="gpt-4o-mini", base_url=url, api_key="none", max_retries=0, max_tokens=50)  # type: ignore[arg-type]

    async def begin(state: State) -> dict[str, list[str]]:
        return {"log": ["begun"]}

    async def ask(item: int) -> dict[str, list[str]]:
        await chat.ainvoke("hello")
        await chat.ainvoke("hello again")
        return {"log": ["asked"]}

    drawing: Any = StateGraph(State)
    drawing.add_node("begin", begin)
    drawing.add_edge(START, "begin")
    gather(drawing, "begin", ask, over=lambda state: list(range(WIDTH)), at_most=WIDTH, into=join)
    drawing.add_edge("join", END)
    policy = Policy(clean_input=False, clean_output=False, attempts=1, calls=None, when_short="start")
    return guard(drawing, policy.but(per_day=Limits(calls=budget)))


async def join(state: State) -> dict[str, list[str]]:
    """The join."""
    return {"log": ["joined"]}
