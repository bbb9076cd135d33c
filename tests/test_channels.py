"""A secret that this process knows leaves it on no channel, in no spelling, in one piece or in many (guide: G2)."""

import asyncio
import json
import logging
import sqlite3
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import LOOSE
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.types import Command, Send, interrupt
from typing_extensions import TypedDict

from guards import OUTPUT, clean, declare, guard
from guards.errors import Permanent
from guards.running.streams import Chunks
from guards.scan.registered import Finder, finder, forms, register

SECRET = "zq7Kd0-Xv93mPl_tR5"
POLICY = LOOSE.but(dollars=None)
SPELLINGS = sorted(forms(SECRET))


class State(TypedDict, total=False):
    question: str
    answer: Any


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARBOUR_API_KEY", SECRET)


def leaks(told: Any) -> bool:
    """Whether any spelling of the secret is in what somebody was told."""
    text = told if isinstance(told, str) else repr(told).replace("\\\\", "\\")
    return any(spelling.lower() in text.lower() for spelling in forms(SECRET).values())


def bare(node: Any) -> Any:
    graph: Any = StateGraph(State)
    graph.add_node("agent", node)
    graph.add_edge(START, "agent")
    graph.add_edge("agent", END)
    return graph


def says(value: Any) -> Any:
    async def agent(state: State) -> State:
        return {"answer": value}

    return agent


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_a_reply_holds_no_secret(spelling: str) -> None:
    said = {"deep": [f"It is {forms(SECRET)[spelling]}, I think"]}
    assert leaks(await bare(says(said)).compile().ainvoke({"question": "q"}))
    result = await guard(bare(says(said)), POLICY).ainvoke({"question": "q"})
    assert not leaks(result) and "[secret" in str(result["answer"]) and "I think" in str(result["answer"])


@pytest.mark.parametrize("mode", ["values", "updates", "custom", "messages", "tasks", "debug", "checkpoints"])
async def test_no_stream_holds_a_secret(mode: Any, tmp_path: Path) -> None:
    async def agent(state: State) -> State:
        model = GenericFakeChatModel(messages=iter([AIMessage(f"The key is {SECRET} indeed")]))
        get_stream_writer()({"note": SECRET})
        return {"answer": (await model.ainvoke("key?")).content}

    for graph, leaking in ((bare(agent).compile(), True), (guard(bare(agent), POLICY), False)):
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / f"{leaking}.sqlite")) as saver:
            kept = graph.copy(update={"checkpointer": saver})
            config = {"configurable": {"thread_id": "1"}}
            parts = [part async for part in kept.astream({"question": "q"}, config, stream_mode=mode)]
        assert leaks(parts if mode != "messages" else text_of(parts)) is leaking


def text_of(parts: list[Any]) -> str:
    return "".join(part[0].content for part in parts)


class Slow(GenericFakeChatModel):
    """A model that streams these pieces."""

    pieces: tuple[str, ...] = ()

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        manager = kwargs.get("run_manager")
        for piece in self.pieces:
            chunk = ChatGenerationChunk(message=AIMessageChunk(piece))
            if manager:
                await manager.on_llm_new_token(piece, chunk=chunk)
            yield chunk


class Breaking(Slow):
    """A model whose stream breaks off after its pieces."""

    async def _astream(self, *args: Any, **kwargs: Any) -> Any:
        async for chunk in super()._astream(*args, **kwargs):
            yield chunk
        raise ConnectionResetError


@pytest.mark.parametrize("more", [{}, {"subgraphs": True}, {"version": "v2"}])
async def test_what_was_held_back_of_a_message_that_broke_off_comes_before_the_state(more: Any) -> None:
    pieces = ("The key is ", SECRET[:6])

    async def agent(state: State) -> State:
        return {"answer": (await Breaking(messages=iter([]), pieces=pieces).ainvoke("key?")).content}

    graph = guard(bare(agent), POLICY)
    parts = [part async for part in graph.astream({"question": "q"}, stream_mode=["messages", "values"], **more)]
    seen = [(part["type"], part["data"]) if more.get("version") else part[-2:] for part in parts]
    told = "".join(data[0].content for mode, data in seen if mode == "messages")
    assert seen[-1][0] == "values" and told == "".join(pieces)


async def test_nothing_more_comes_of_a_message_whose_step_is_over() -> None:
    chunks = Chunks(finder())
    first, late = (AIMessageChunk(piece, id="m") for piece in (SECRET[:6], SECRET[6:]))
    assert [part[1][0].content for part in chunks.parts(("messages", (first, {})))] == [""]
    rest, values = chunks.parts(("values", {"answer": 1}))
    assert rest[1][0].content == SECRET[:6] and values == ("values", {"answer": 1})
    assert [part[1][0].content for part in chunks.parts(("messages", (late, {})))] == [""]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("size", [1, 3, 7])
async def test_a_secret_that_comes_in_pieces_is_held_back(spelling: str, size: int) -> None:
    text = f"Well then: {forms(SECRET)[spelling]}. And there is more to say, apart from keys."
    pieces = tuple(text[at : at + size] for at in range(0, len(text), size))

    async def agent(state: State) -> State:
        model = Slow(messages=iter([]), pieces=pieces)
        return {"answer": (await model.ainvoke("key?")).content}

    parts = [part async for part in guard(bare(agent), POLICY).astream({"question": "q"}, stream_mode="messages")]
    told = text_of(parts)
    assert not leaks(told) and len(told) == len(text)
    assert told.startswith("Well then: [secret removed") and told.endswith("And there is more to say, apart from keys.")


async def test_who_stops_listening_ends_the_run() -> None:
    ended: list[str] = []

    async def agent(state: State) -> State:
        get_stream_writer()("begun")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("agent")
        return {}

    stream: Any = guard(bare(agent), POLICY).astream({"question": "q"}, stream_mode="custom")
    assert await anext(stream) == "begun" and not ended
    await stream.aclose()
    assert ended == ["agent"]


async def test_what_cannot_be_a_secret_is_not_held_back() -> None:
    chunks = Chunks(finder())
    shown = [chunks.parts((AIMessageChunk(word, id="1"), {}))[0][0].content for word in ("All ", "is ", "go", "od ")]
    assert shown == ["All ", "is ", "go", "od "]


async def test_the_rest_of_a_message_that_breaks_off_is_shown() -> None:
    async def agent(state: State) -> State:
        model = Slow(messages=iter([]), pieces=("and ", SECRET[:4]))
        return {"answer": (await model.ainvoke("key?")).content}

    chunks = Chunks(finder())
    shown = chunks.parts((AIMessageChunk(f"and {SECRET[:4]}", id="1"), {"node": "n"}))
    assert shown[0][0].content == "and "
    (rest,) = chunks.rest()
    assert rest[0].content == SECRET[:4] and rest[1] == {"node": "n"}
    parts = [part async for part in guard(bare(agent), POLICY).astream({"question": "q"}, stream_mode="messages")]
    assert text_of(parts) == f"and {SECRET[:4]}"


async def test_the_arguments_of_a_streamed_tool_call_are_looked_through_too() -> None:
    told = json.dumps({"body": SECRET})
    chunks, shown = Chunks(finder()), ""
    for at, piece in enumerate([told[:12], told[12:20], told[20:]]):
        position: Any = "last" if at == 2 else None
        call: Any = {"name": None, "args": piece, "id": None, "index": 0, "type": "tool_call_chunk"}
        chunk = AIMessageChunk("", id="1", tool_call_chunks=[call], chunk_position=position)
        (message, _), *_ = chunks.parts((chunk, {}))
        assert not leaks(message)
        shown += "".join(str(one["args"]) for one in message.tool_call_chunks)
    assert not leaks(shown) and json.loads(shown)["body"].startswith("[secret")


@pytest.mark.filterwarnings("ignore:.*experimental")
@pytest.mark.parametrize("version", ["v2", "v3"])
async def test_events_hold_no_secret(version: Any) -> None:
    async def plain(state: State) -> State:
        model = GenericFakeChatModel(messages=iter([AIMessage(f"It is {SECRET} indeed")]))
        return {"answer": (await model.ainvoke(f"what of {SECRET}?")).content}

    graph = guard(bare(plain), POLICY)
    stream = graph.astream_events({"question": SECRET}, version=version)
    stream = await stream if hasattr(stream, "__await__") else stream
    told = [event async for event in stream]
    assert told and not leaks(told)


async def test_the_newer_protocol_shows_all_of_a_text_but_the_secret() -> None:
    chunks, told = Chunks(finder()), ""
    for piece in ("It is ", SECRET[:5], SECRET[5:], " or ", SECRET[:6]):
        event = {"event": "content-block-delta", "index": 0, "delta": {"type": "text-delta", "text": piece}}
        told += "".join(part[0]["delta"]["text"] for part in chunks.parts((event, {"langgraph_checkpoint_ns": "n:1"})))
    finish = {"event": "content-block-finish", "index": 0, "content": {"type": "text", "text": f"It is {SECRET}"}}
    before, end = chunks.parts((finish, {"langgraph_checkpoint_ns": "n:1"}))
    told += before[0]["delta"]["text"]
    assert told == f"It is [secret removed]██ or {SECRET[:6]}" and not leaks(end)


async def test_no_checkpoint_holds_a_secret_of_the_input_of_an_update_or_of_a_question(tmp_path: Path) -> None:
    async def worker(state: State) -> State:
        return {"answer": interrupt(f"Is it {SECRET}?")}

    async def sender(state: State) -> Command[Any]:
        return Command(update={"question": SECRET}, goto=[Send("worker", {"question": f"{SECRET}!"})])

    for guarded in (False, True):
        graph: Any = StateGraph(State)
        graph.add_node("sender", sender, destinations=("worker",))
        graph.add_node("worker", worker)
        graph.add_edge(START, "sender")
        graph.add_edge("worker", END)
        made = guard(graph, POLICY.but(fan_out=3)) if guarded else graph.compile()
        file = tmp_path / f"{guarded}.sqlite"
        async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
            config = {"configurable": {"thread_id": "1"}}
            kept = made.copy(update={"checkpointer": saver})
            result = await kept.ainvoke({"question": f"What of {SECRET}?"}, config)
            assert result["__interrupt__"]
        assert (SECRET in kept_in(tmp_path, guarded)) is not guarded
        assert leaks(result) is not guarded


def kept_in(folder: Path, guarded: bool | str = "") -> str:
    return "".join(one.read_bytes().decode("latin-1") for one in folder.glob(f"{guarded}*"))


PERSONAL = "card 4111-1111-1111-1111, mail ada.lovelace@harbour.example, IBAN DE89370400440532013000"
PARTS = ("4111-1111", "ada.lovelace@", "DE8937040044")


async def test_personal_data_of_sources_are_in_no_checkpoint_and_in_no_index(tmp_path: Path, data_folder: Path) -> None:
    from graphs.research import graph

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text(f"The Harbour Line was paid for with {PERSONAL}.\nIt opened in May.\n")
    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "True.sqlite")) as saver:
        asked: Any = {"question": "How was the Harbour Line paid for?", "docs": [str(tmp_path / "docs")]}
        config: Any = {"configurable": {"thread_id": "1"}}
        result = await graph.copy(update={"checkpointer": saver}).ainvoke(asked, config)
    assert "The Harbour Line was paid for with card \\[card removed" in result["answer"].report
    kept = kept_in(tmp_path, True) + kept_in(data_folder / "index")
    assert "Harbour Line was paid" in kept and not any(part in kept for part in PARTS)


async def test_what_an_output_cleaner_cleans_is_clean_in_the_first_checkpoint_unless_it_is_told_otherwise(
    tmp_path: Path,
) -> None:
    for at_once in (None, False):
        graph: Any = StateGraph(State)
        graph.add_node("agent", says(PERSONAL))
        graph.add_node("clean_output", clean(OUTPUT.but(at_once=at_once), "answer"))
        graph.add_edge(START, "agent")
        graph.add_edge("agent", "clean_output")
        graph.add_edge("clean_output", END)
        file = "True" if at_once is None else "False"
        async with AsyncSqliteSaver.from_conn_string(str(tmp_path / f"{file}.sqlite")) as saver:
            kept = guard(graph, POLICY).copy(update={"checkpointer": saver})
            result = await kept.ainvoke({"question": "q"}, {"configurable": {"thread_id": "1"}})
        assert "4111" not in result["answer"]
        assert ("4111-1111" in kept_in(tmp_path, at_once is None)) is (at_once is False)


async def test_a_conversation_keeps_its_tool_calls_until_the_end() -> None:
    class Talk(TypedDict, total=False):
        messages: Annotated[list[AnyMessage], add_messages]

    seen: list[str] = []

    async def asks(state: Talk) -> Any:
        return {"messages": [AIMessage("Writing to ada@harbour.example")]}

    async def reads(state: Talk) -> Any:
        seen.append(str(state["messages"][-1].content))
        return {}

    graph: Any = StateGraph(Talk)
    for name, node in (("asks", asks), ("reads", reads), ("clean_output", clean(OUTPUT, "messages"))):
        graph.add_node(name, node)
    for one, other in zip(
        (START, "asks", "reads", "clean_output"), ("asks", "reads", "clean_output", END), strict=True
    ):
        graph.add_edge(one, other)
    result = await guard(graph, POLICY).ainvoke({"messages": [("user", "Write to Ada")]})
    assert seen == ["Writing to ada@harbour.example"] and "ada@" not in str(result["messages"])


async def test_no_error_holds_a_secret(tmp_path: Path) -> None:
    async def fails(state: State) -> State:
        raise Permanent(f"the door said no to {SECRET}")

    result = await guard(bare(fails), POLICY).ainvoke({"question": "q"})
    assert "the door said no to [secret" in result["run"].stop_reason and not leaks(result)


async def test_no_log_holds_a_secret_whoever_writes_it(caplog: pytest.LogCaptureFixture) -> None:
    guard(bare(says("x")), POLICY)
    log = logging.getLogger("somebody.elses")
    log.error("GET https://api.example/?key=%s", SECRET)
    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError:
        log.exception("it failed")
    assert "GET https://api.example/?key=[secret" in caplog.text and "ValueError: bad [secret" in caplog.text
    assert not leaks(caplog.text)


async def test_a_broken_log_call_is_logged_as_it_was(caplog: pytest.LogCaptureFixture) -> None:
    guard(bare(says("x")), POLICY)
    made = logging.getLogRecordFactory()("a", logging.INFO, "f", 1, f"%d of {SECRET}", ("x",), None)
    assert not leaks(str(made.msg))


async def test_no_tool_is_told_a_secret() -> None:
    told: list[str] = []

    @tool
    async def post(body: str) -> str:
        """Post something."""
        told.append(body)
        return "posted"

    declare(post, "egress")

    async def agent(state: State) -> State:
        return {"answer": await post.ainvoke({"body": f"here: {forms(SECRET)['base64']}"})}

    await bare(agent).compile().ainvoke({"question": "q"})
    assert told and leaks(told.pop())
    result = await guard(bare(agent), POLICY).ainvoke({"question": "q"})
    assert not told and "holds a registered secret" in result["run"].stop_reason


def test_a_variable_that_leads_somewhere_is_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("CLOUD_CREDENTIALS", str(tmp_path))
    monkeypatch.setenv("CLOUD_SECRET", f"/{SECRET}")
    assert finder().hide(f"{tmp_path} /{SECRET}") == f"{tmp_path} [secret removed]███"


def test_the_lines_of_key_files_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "keys.txt").write_text("ab-1199-FileKey\nshort\n\ncd-2288-OtherKey\n")
    monkeypatch.setenv("INTERLOCK_SECRET_FILES", f"{tmp_path / 'keys.txt'}:{tmp_path / 'none.txt'}")
    assert finder().hide("ab-1199-FileKey short cd-2288-OtherKey") == f"{'█' * 15} short {'[secret removed]'}"
    assert "a file of INTERLOCK_SECRET_FILES cannot be read" in caplog.text


def test_what_is_registered_later_is_known_at_once() -> None:
    assert finder().hide("tt-4471-Later") == "tt-4471-Later"
    register("tt-4471-Later")
    assert "4471" not in finder().hide("tt-4471-Later")


async def test_no_audit_entry_and_no_book_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERLOCK_STORE", str(tmp_path / "ledger.sqlite"))

    @tool
    async def look(up: str) -> str:
        """Look something up."""
        return SECRET

    async def agent(state: State) -> State:
        return {"answer": await look.ainvoke({"up": "something"})}

    from guards.stores.chosen import close_stores

    await guard(bare(agent), POLICY).ainvoke({"question": SECRET}, {"configurable": {"tenant": SECRET}})
    close_stores()
    dump = "\n".join(sqlite3.connect(tmp_path / "ledger.sqlite").iterdump())
    assert "look" in dump and not leaks(dump)


PIECES = st.lists(st.sampled_from(["zq", "7Kd0", "-Xv9", "3mPl_t", "R5", "a", " ", "=", "63", "[", "z"]), max_size=30)


@settings(max_examples=300, deadline=None)
@given(PIECES, st.integers(1, 6))
def test_pieces_and_the_whole_show_the_same(words: list[str], size: int) -> None:
    own, text = Finder([SECRET, "zq7Kd0zq7Kd0"]), "".join(words)
    chunks = Chunks(own)
    cut = [text[at : at + size] for at in range(0, len(text), size)] or [""]
    told = ""
    for at, piece in enumerate(cut):
        position: Any = "last" if at == len(cut) - 1 else None
        told += chunks.parts((AIMessageChunk(piece, id="1", chunk_position=position), {}))[0][0].content
    assert len(told) == len(text) and not list(own.spans(told))
