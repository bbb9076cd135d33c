"""A conversation cannot grow past its limit, whatever nodes return, and the agent never loses its role."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import LOOSE
from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from typing_extensions import TypedDict

from guards import guard, trim
from guards.drawings.serializable import survives
from guards.trim import SYSTEM_KEPT, trimmed
from state.memory import TEXT_KEPT

ROLE = SystemMessage("You are the planner.", id="role")


class Chat(TypedDict, total=False):
    """A conversation as users of the guards write it."""

    messages: Annotated[list[AnyMessage], trim()]


def says(*numbers: int) -> list[AnyMessage]:
    return [HumanMessage(f"message {number}", id=str(number)) for number in numbers]


def asks(*ids: str, **arguments: Any) -> AIMessage:
    return AIMessage(
        "", id="asks " + ids[0], tool_calls=[{"name": "look", "args": arguments, "id": name} for name in ids]
    )


def answers(*ids: str, text: str = "found") -> list[ToolMessage]:
    return [ToolMessage(text, id=f"answers {name}", tool_call_id=name) for name in ids]


def test_the_twentieth_message_is_kept_and_the_twenty_first_pushes_the_oldest_out() -> None:
    twenty = trim()([], says(*range(20)))
    assert len(twenty) == 20
    assert [message.id for message in trim()(twenty, says(20))] == [str(number) for number in range(1, 21)]


async def test_two_hundred_turns_leave_twenty_messages_and_the_role_in_the_live_state() -> None:
    async def answer(state: Chat) -> Chat:
        assert state["messages"][0].content == ROLE.content
        return {"messages": [AIMessage(f"to {state['messages'][-1].content}")]}

    graph: Any = StateGraph(Chat)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    guarded = guard(graph, LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    await guarded.ainvoke({"messages": [ROLE]}, config)
    for turn in range(200):
        result = await guarded.ainvoke({"messages": [HumanMessage(f"turn {turn}")]}, config)
        assert result["run"].outcome == "complete"
        assert len(result["messages"]) <= 21
    assert result["messages"][0].content == ROLE.content and len(result["messages"]) == 21
    assert result["messages"][-1].content == "to turn 199"


def test_instructions_are_kept_each_once_and_bounded_too() -> None:
    memory: list[AnyMessage] = []
    for number in range(60):
        memory = trim(3)(memory, [SystemMessage(ROLE.content), *says(number)])
    assert [message.type for message in memory] == ["system", "human", "human", "human"]
    many = trimmed([SystemMessage(f"rule {number}") for number in range(99)])
    assert [message.content for message in many] == [f"rule {number}" for number in range(SYSTEM_KEPT)]


def test_a_tools_answers_go_with_the_call_they_answer() -> None:
    talk = [*says(1), asks("a", "b"), *answers("a", "b"), *says(2)]
    assert [message.type for message in trimmed(talk, 4)] == ["ai", "tool", "tool", "human"]
    assert [message.id for message in trimmed(talk, 3)] == ["2"]


def test_of_more_answers_than_fit_the_last_stay_and_the_call_names_no_others() -> None:
    call, *kept = trimmed([asks("a", "b", "c"), *answers("a", "b", "c")], 3)
    assert isinstance(call, AIMessage) and [made["id"] for made in call.tool_calls] == ["b", "c"]
    assert [message.id for message in kept] == ["answers b", "answers c"]


def test_answers_without_their_call_are_left_out_unless_there_is_nothing_else() -> None:
    assert [message.id for message in trimmed([*answers("gone"), *says(1)])] == ["1"]
    assert [message.id for message in trimmed(answers("gone"))] == ["answers gone"]
    assert len(trimmed([ROLE, *answers("gone")])) == 2


@pytest.mark.parametrize("text", ["word " * 100_000, "界" * 500_000, "🙂" * 100_000])
def test_one_oversized_message_is_cut_and_says_how_much_is_left_out(text: str) -> None:
    (kept,) = trimmed([HumanMessage(text)])
    assert len(kept.content) <= TEXT_KEPT and "characters left out" in kept.content
    assert kept.content.startswith(text[:100]) and kept.content.endswith(text[-100:])


def test_a_cut_message_keeps_its_calls_names_and_ids() -> None:
    message = asks("a", "b", query="x" * 50_000, **{f"part {number}": list(range(999)) for number in range(50)})
    kept, *_ = trimmed([message, *answers("a", "b")])
    assert isinstance(kept, AIMessage) and len(str(kept.tool_calls)) < TEXT_KEPT + 2_000
    assert [(call["name"], call["id"]) for call in kept.tool_calls] == [("look", "a"), ("look", "b")]
    assert kept.tool_calls[0]["args"]["query"].startswith("x")
    assert len(message.tool_calls[0]["args"]["query"]) == 50_000  # the author's message is not changed


def test_of_a_cut_message_with_pictures_the_text_stays() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert trimmed([HumanMessage([{"type": "text", "text": "what is this?"}, picture])])[0].content == "what is this?"
    assert "left out" in trimmed([HumanMessage([picture])])[0].content
    answer = ToolMessage("found", tool_call_id="a", artifact="x" * 100_000)
    assert trimmed([answer])[0].artifact is None


def test_a_message_that_two_branches_remove_is_removed_once_and_kills_nobody() -> None:
    memory = trim()([], says(1, 2))
    for _ in range(2):
        memory = trim()(memory, [RemoveMessage(id="1")])
    assert [message.id for message in memory] == ["2"]
    assert trim()(memory, [RemoveMessage(id=REMOVE_ALL_MESSAGES), *says(3)])[0].id == "3"


async def test_two_branches_that_write_and_remove_side_by_side_lose_nothing() -> None:
    def branch(name: str) -> Any:
        async def node(state: Chat) -> Chat:
            return {"messages": [RemoveMessage(id="1"), AIMessage(name, id=name)]}

        return node

    graph: Any = StateGraph(Chat)
    for name in ("left", "right"):
        graph.add_node(name, branch(name))
        graph.add_edge(START, name)
    result = await guard(graph, LOOSE).ainvoke({"messages": says(1, 2)})
    assert [message.id for message in result["messages"]] == ["2", "left", "right"]
    assert result["run"].outcome == "complete"


def test_a_message_with_a_known_id_replaces_the_old_one() -> None:
    memory = trim()(says(1, 2), [HumanMessage("changed", id="1")])
    assert [message.content for message in memory] == ["changed", "message 2"]


def test_one_message_and_shorthand_forms_are_taken_as_langgraph_takes_them() -> None:
    memory = trim()([], ("user", "hello"))
    assert [message.content for message in trim()(memory, {"role": "assistant", "content": "hi"})] == ["hello", "hi"]
    assert all(message.id for message in memory)


@pytest.mark.parametrize("limits", [{"keep": 0}, {"keep": -1}, {"longest": 0}])
def test_a_limit_that_keeps_nothing_is_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        trim(**limits)
    with pytest.raises(ValueError, match="at least 1"):
        trimmed([], **limits)


def test_the_same_limits_give_the_same_reducer_so_that_schemas_agree() -> None:
    """LangGraph refuses a key that two schemas give different reducers."""
    assert trim(5) is trim(5) and trim(5) is not trim(6)


def test_what_is_kept_survives_a_strict_round_trip() -> None:
    kept = trimmed([ROLE, asks("a", query="x" * 50_000), *answers("a"), *says(1)], 3)
    assert survives(kept, Chat) is None


ANY = st.one_of(
    st.builds(HumanMessage, st.text(max_size=60)),
    st.builds(AIMessage, st.text(max_size=60)),
    st.builds(SystemMessage, st.text(max_size=20)),
    st.builds(lambda ids: asks(*ids), st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)),
    st.builds(lambda name, text: answers(name, text=text)[0], st.sampled_from("abcd"), st.text(max_size=60)),
)


def _with_ids(messages: list[BaseMessage]) -> list[BaseMessage]:
    """No two tool calls with one id, as providers make them: a later call makes a later name."""
    made: dict[str, int] = {}
    for place, message in enumerate(messages):
        message.id = str(place)
        if isinstance(message, AIMessage) and message.tool_calls:
            for call in message.tool_calls:
                made[str(call["id"])] = place
                call["id"] = f"{call['id']}{place}"
        elif isinstance(message, ToolMessage):
            message.tool_call_id = f"{message.tool_call_id}{made.get(message.tool_call_id, '')}"
    return messages


@given(st.lists(ANY, max_size=40).map(_with_ids), st.integers(1, 12), st.integers(1, 50))
def test_never_more_than_allowed_never_empty_and_no_answer_without_its_call(
    messages: list[BaseMessage], keep: int, longest: int
) -> None:
    kept = trimmed(messages, keep, longest)
    others = [message for message in kept if message.type != "system"]
    assert len(others) <= keep and all(len(str(message.content)) <= longest for message in kept)
    assert bool(others) == any(message.type != "system" for message in messages)
    known = {call["id"] for message in kept if isinstance(message, AIMessage) for call in message.tool_calls}
    answered = [message.tool_call_id for message in others if isinstance(message, ToolMessage)]
    assert set(answered) <= known or all(isinstance(message, ToolMessage) for message in others)
    assert [message.id for message in kept] == sorted((str(message.id) for message in kept), key=int)


@given(st.lists(ANY, max_size=40).map(_with_ids), st.integers(1, 12))
def test_trimming_what_is_trimmed_changes_nothing(messages: list[BaseMessage], keep: int) -> None:
    kept = trimmed(messages, keep)
    assert trimmed(kept, keep) == kept
