"""A real `langgraph dev` serves the guarded graphs as it serves any other; the SDK and RemoteGraph call them."""

from collections.abc import Iterator
from typing import Any

import pytest
from dev_kit import ROOT, Dev, serving
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk.errors import ConflictError
from model_server import ModelServer

GRAPHS = '''
"""Small guarded graphs, one for each thing that may go wrong."""

import asyncio
import os

from kit import LOOSE, Log, Written, chain, hangs, named, raises, says
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt

from guards import closing, fallback, gather, guard, loop

POLICY = LOOSE.but(timeout=0.5)


async def asks(state: Log) -> Written:
    return {"log": [interrupt("which one?")]}


async def tells(state: Log) -> Written:
    get_stream_writer()({"event": "source", "count": 1})
    return {"log": ["told"]}


async def talks(state: Log) -> Written:
    model = await asyncio.to_thread(chat)
    return {"log": [str((await model.ainvoke("Say something.")).content)]}


def chat():
    """The model of an author who knows nothing of guards; made in a thread, since its first import blocks."""
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model="gpt-4o-mini", base_url=os.environ["CHAT_URL"], api_key="none", max_retries=0)


async def blocks(state: Log) -> Written:
    import time

    time.sleep(0.05)
    return {"log": ["blocked the loop"]}


def branches() -> StateGraph:
    graph = StateGraph(Log)
    graph.add_node("a", says("a"))
    graph.add_edge(START, "a")
    gather(graph, "a", [says("x"), raises("y", ValueError), hangs("z")], into=says("join"))
    graph.add_edge("join", END)
    return graph


def endless() -> StateGraph:
    graph = chain(says("write"), says("review"))
    graph.edges.discard(("review", END))
    loop(graph, "review", back_to="write", until=lambda state: False, then=END, at_most=3, progress=None)
    return graph


hanging = guard(chain(says("a"), fallback(hangs("b"), says("plain")), closing(says("last"))), POLICY, name="hanging")
lost = guard(chain(says("a"), hangs("b"), says("c"), closing(says("last"))), POLICY, name="lost")
branching = guard(branches(), POLICY, name="branching")
rejecting = guard(endless(), POLICY, name="rejecting")
asking = guard(chain(says("a"), asks, says("b")), POLICY, name="asking")
telling = guard(chain(tells), POLICY, name="telling")
blocking = guard(chain(blocks), POLICY, name="blocking")
nested = guard(chain(says("a"), named("inner", hanging)), POLICY.but(timeout=3), name="nested")
talking = guard(chain(talks), POLICY.but(timeout=8), name="talking")
'''
NAMES = ("hanging", "lost", "branching", "rejecting", "asking", "telling", "blocking", "nested", "talking")


@pytest.fixture(scope="module")
def chat_server() -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.reply("chat", "word " * 60)
        yield running


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory, chat_server: ModelServer) -> Iterator[Dev]:
    """The server with our own configuration and the small graphs beside it, in a folder of its own."""
    folder = tmp_path_factory.mktemp("project")
    with serving(folder, GRAPHS, NAMES, {"CHAT_URL": chat_server.url}) as running:
        yield running


async def wait(dev: Dev, graph: str, thread: str | None = None, **more: Any) -> dict[str, Any]:
    """One run to its end."""
    more.setdefault("input", {"log": []})
    return await dev.client().runs.wait(thread, graph, **more)  # type: ignore[no-any-return]


async def stream(dev: Dev, graph: str, *modes: str, thread: str | None = None, **more: Any) -> list[Any]:
    more.setdefault("input", {"log": []})
    return [part async for part in dev.client().runs.stream(thread, graph, stream_mode=list(modes), **more)]


async def test_every_graph_is_served_with_its_schemas_and_its_drawing(dev: Dev) -> None:
    client = dev.client()
    found = {found["graph_id"]: found["assistant_id"] for found in await client.assistants.search(limit=100)}
    assert set(found) == {*NAMES, "research"}
    for name in NAMES:
        assert "log" in (await client.assistants.get_schemas(found[name]))["input_schema"]["properties"]
        assert (await client.assistants.get_graph(found[name]))["nodes"]


async def test_a_hanging_node_ends_in_time_and_the_outcome_is_in_the_json(dev: Dev) -> None:
    result = await wait(dev, "hanging")
    assert result["log"] == ["a", "plain", "last"]
    run = result["run"]
    assert (run["outcome"], run["graph"]) == ("partial", "hanging") and "no answer within" in run["stop_reason"]
    assert run["missing"][0]["status"] == "timed out" and 0.5 <= run["spent"]["seconds"] < 5


async def test_a_lost_node_stops_the_run_and_what_was_found_is_kept(dev: Dev) -> None:
    result = await wait(dev, "lost")
    assert (result["run"]["outcome"], result["log"]) == ("stopped", ["a", "last"])


async def test_lost_branches_still_meet(dev: Dev) -> None:
    result = await wait(dev, "branching")
    assert result["run"]["outcome"] == "partial" and result["log"][-1] == "join"
    assert {entry["what"]: entry["status"] for entry in result["run"]["missing"]} == {"y": "failed", "z": "timed out"}


async def test_a_loop_that_is_never_content_ends_at_its_limit(dev: Dev) -> None:
    result = await wait(dev, "rejecting", config={"recursion_limit": 3000})
    assert result["log"] == ["write", "review"] * 3
    assert result["run"]["outcome"] == "partial" and "3 of 3 rounds" in result["run"]["stop_reason"]


async def test_a_client_sees_updates_and_the_outcome_as_they_happen(dev: Dev) -> None:
    parts = await stream(dev, "hanging", "updates", "values")
    nodes = [name for part in parts if part.event == "updates" for name in part.data]
    assert nodes == ["a", "b", "last"]
    assert [part.data for part in parts if part.event == "values"][-1]["run"]["outcome"] == "partial"
    assert not [part for part in parts if part.event == "error"]


async def test_progress_events_reach_the_client(dev: Dev) -> None:
    parts = await stream(dev, "telling", "custom")
    assert [part.data for part in parts if part.event == "custom"] == [{"event": "source", "count": 1}]


async def test_tokens_reach_the_client_while_they_are_counted(dev: Dev) -> None:
    parts = await stream(dev, "talking", "messages-tuple", "values")
    tokens = [part.data[0]["content"] for part in parts if part.event == "messages"]
    assert len(tokens) > 3 and "".join(tokens) == "word " * 60
    record = [part.data for part in parts if part.event == "values"][-1]["run"]
    assert (record["outcome"], record["spent"]["calls"]) == ("complete", 1), record["stop_reason"]


async def test_a_guarded_subgraph_streams_from_inside_and_hands_up_what_it_missed(dev: Dev) -> None:
    parts = await stream(dev, "nested", "updates", stream_subgraphs=True)
    inside = [name for part in parts if part.event.startswith("updates|inner") for name in part.data]
    assert inside == ["a", "b", "last"]
    run = (await wait(dev, "nested"))["run"]
    assert run["outcome"] == "partial" and run["missing"][0]["what"] == "inner/b"


async def test_a_thread_keeps_what_its_runs_found_and_each_run_has_its_own_record(dev: Dev) -> None:
    client = dev.client()
    thread = (await client.threads.create())["thread_id"]
    first, second = [await wait(dev, "hanging", thread) for _ in range(2)]
    assert second["log"] == first["log"] * 2 and second["run"]["id"] != first["run"]["id"]
    state = await client.threads.get_state(thread)
    assert state["values"]["run"]["outcome"] == "partial" and not state["next"]


async def test_two_runs_on_one_thread_lose_nothing(dev: Dev) -> None:
    client = dev.client()
    thread = (await client.threads.create())["thread_id"]
    runs = [await client.runs.create(thread, "hanging", input={"log": []}) for _ in range(2)]
    for run in runs:
        await client.runs.join(thread, run["run_id"])
    assert (await client.threads.get_state(thread))["values"]["log"] == ["a", "plain", "last"] * 2


async def test_a_second_run_may_be_rejected_and_the_first_is_kept(dev: Dev) -> None:
    client = dev.client()
    thread = (await client.threads.create())["thread_id"]
    first = await client.runs.create(thread, "hanging", input={"log": []})
    with pytest.raises(ConflictError):
        await client.runs.create(thread, "hanging", input={"log": []}, multitask_strategy="reject")
    await client.runs.join(thread, first["run_id"])
    assert (await client.threads.get_state(thread))["values"]["log"] == ["a", "plain", "last"]


async def test_a_person_answers_over_the_sdk_and_the_run_goes_on(dev: Dev) -> None:
    client = dev.client()
    thread = (await client.threads.create())["thread_id"]
    asked = await wait(dev, "asking", thread)
    assert asked["__interrupt__"][0]["value"] == "which one?"
    answered = await wait(dev, "asking", thread, input=None, command={"resume": "this one"})
    assert answered["log"] == ["a", "this one", "b"] and answered["run"]["outcome"] == "complete"
    assert answered["run"]["id"] == asked["run"]["id"]


async def test_a_cancelled_run_keeps_what_it_found(dev: Dev) -> None:
    client = dev.client()
    thread = (await client.threads.create())["thread_id"]
    run = await client.runs.create(thread, "lost", input={"log": []}, stream_mode="updates")
    async for part in client.runs.join_stream(thread, run["run_id"]):
        if part.event == "updates":
            await client.runs.cancel(thread, run["run_id"], wait=True)
    assert (await client.threads.get_state(thread))["values"]["log"][:1] == ["a"]


async def test_a_node_that_blocks_the_loop_is_caught_by_the_server_and_named_by_the_guard(dev: Dev) -> None:
    run = (await wait(dev, "blocking"))["run"]
    assert (run["outcome"], run["stop_reason"]) == ("stopped", "blocks: BlockingError")


async def test_remote_graph_invokes_and_streams(dev: Dev) -> None:
    remote = RemoteGraph("hanging", url=dev.url)
    result = await remote.ainvoke({"log": []})
    assert isinstance(result, dict) and result["run"]["outcome"] == "partial"
    parts = [part async for part in remote.astream({"log": []}, stream_mode="updates")]
    assert [name for part in parts for name in part] == ["a", "b", "last"]


# -- our own graph


QUESTION = "When did the Harbour Line open?"
DOCS = str(ROOT / "examples" / "docs")


async def test_research_answers_from_a_folder_over_the_sdk(dev: Dev) -> None:
    result = await wait(dev, "research", input={"question": QUESTION, "docs": [DOCS]})
    answer, run = result["answer"], result["run"]
    assert run["outcome"] in ("complete", "partial"), run["stop_reason"]
    assert not [entry for entry in run["missing"] if "BlockingError" in entry["reason"]]
    assert answer["mode"] == "extractive" and answer["passages"] and answer["quotes"]


async def test_research_streams_its_stages_to_the_sdk(dev: Dev) -> None:
    parts = await stream(dev, "research", "updates", "custom", input={"question": QUESTION, "docs": [DOCS]})
    nodes = [name for part in parts if part.event == "updates" for name in part.data]
    assert nodes[:2] == ["clean_input", "plan"] and nodes[-2:] == ["publish", "clean_output"]
    assert {"documents", "database", "web", "merge", "write", "review"} < set(nodes)


async def test_research_works_in_a_thread_twice(dev: Dev) -> None:
    thread = (await dev.client().threads.create())["thread_id"]
    first, second = [
        await wait(dev, "research", thread, input={"question": QUESTION, "docs": [DOCS]}) for _ in range(2)
    ]
    assert first["answer"]["report"] and second["answer"]["question"] == QUESTION
    assert first["run"]["id"] != second["run"]["id"]


BAD = [{}, {"question": ""}, {"question": 5}, {"question": "x" * 2_000_000}, {"question": QUESTION, "docs": "nowhere"}]


@pytest.mark.parametrize("bad", BAD, ids=["nothing", "empty", "number", "2 MB", "text for a list"])
async def test_bad_input_ends_the_run_with_one_clear_line(dev: Dev, bad: dict[str, Any]) -> None:
    run = (await wait(dev, "research", input=bad))["run"]
    assert run["outcome"] in ("refused", "partial", "stopped")
    assert run["stop_reason"] and "\n" not in run["stop_reason"] and len(run["stop_reason"]) < 400


async def test_research_works_through_remote_graph(dev: Dev) -> None:
    result = await RemoteGraph("research", url=dev.url).ainvoke({"question": QUESTION, "docs": [DOCS]})
    assert isinstance(result, dict) and result["answer"]["passages"]
