"""A memory cannot grow past its limit, whatever nodes return, and keeps every instruction."""

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import LOOSE
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from guards import guard
from guards.drawings.serializable import survives
from state.memory import PINNED_KEPT, RECENT_KEPT, TEXT_KEPT, Interaction, Memory, keep_recent, shorten

recall = keep_recent()


class Remembers(TypedDict, total=False):
    """A state with a memory as users write it."""

    memory: Annotated[Memory, keep_recent()]


def says(*numbers: int) -> Memory:
    return [Interaction(agent="planner", role="output", text=str(number)) for number in numbers]


def instruction(text: str) -> Interaction:
    return Interaction(agent="planner", role="instructions", text=text)


def texts(memory: Memory) -> list[str]:
    return [one.text for one in memory]


async def test_two_hundred_turns_leave_twenty_interactions_and_the_role_in_the_live_state() -> None:
    async def work(state: Remembers) -> Remembers:
        assert state["memory"][0].text == "You plan."
        return {"memory": [instruction("You plan."), *says(len(state["memory"]))]}

    graph: Any = StateGraph(Remembers)
    graph.add_node("work", work)
    graph.add_edge(START, "work")
    guarded = guard(graph, LOOSE).copy(update={"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": "t"}}
    for turn in range(200):
        first = [instruction("You plan.")] if turn == 0 else says(turn)
        result = await guarded.ainvoke({"memory": first}, config)
        assert len(result["memory"]) <= 1 + RECENT_KEPT and result["run"].outcome == "complete"
    assert texts(result["memory"])[0] == "You plan." and len(result["memory"]) == 1 + RECENT_KEPT


def test_a_flood_in_one_update_leaves_the_last_twenty() -> None:
    assert texts(recall(says(1, 2), says(*range(10_000)))) == [str(number) for number in range(9_980, 10_000)]


def test_instructions_hold_after_fifty_interactions_and_stay_in_front() -> None:
    memory = recall([], [*says(1), instruction("You plan."), instruction("Never guess.")])
    for number in range(60):
        memory = recall(memory, says(number))
    assert texts(memory)[:2] == ["You plan.", "Never guess."] and len(memory) == 2 + RECENT_KEPT


def test_an_instruction_that_is_said_again_is_kept_once_as_it_was_said_first() -> None:
    first = instruction("You plan.")
    assert recall([first], [instruction("You plan.")]) == [first]


def test_a_flood_of_instructions_does_not_push_out_the_role() -> None:
    memory = recall([instruction("You plan.")], [instruction(str(number)) for number in range(10_000)])
    assert len(memory) == PINNED_KEPT and memory[0].text == "You plan."


def test_parallel_updates_lose_nothing_among_the_last() -> None:
    assert texts(recall(recall(says(1), says(2, 3)), says(4))) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("text", ["word " * 100_000, "界" * 500_000, "🙂" * 100_000])
def test_one_oversized_text_is_cut_when_the_record_is_made(text: str) -> None:
    kept = Interaction(agent="tool", role="tool", text=text).text
    assert len(kept) <= TEXT_KEPT and "characters left out" in kept and kept.endswith(text[-100:])


@given(st.text(max_size=200), st.integers(0, 120))
def test_shortening_keeps_to_its_limit_and_leaves_short_texts_alone(text: str, longest: int) -> None:
    short = shorten(text, longest)
    assert len(short) <= longest or (short == text and len(text) <= longest)
    assert short == text or len(text) > longest


@given(
    st.lists(st.lists(st.tuples(st.booleans(), st.text(max_size=3)), max_size=30), max_size=8),
    st.integers(1, 12),
)
def test_never_more_than_allowed_and_the_newest_is_always_there(updates: list[Any], keep: int) -> None:
    memory: Memory = []
    for update in updates:
        new = [instruction(text) if pinned else says(0)[0].model_copy(update={"text": text}) for pinned, text in update]
        memory = keep_recent(keep)(memory, new)
        others = [one for one in memory if not one.pinned]
        assert len(others) <= keep and len(memory) - len(others) <= PINNED_KEPT
        said = [one for one in new if not one.pinned]
        assert others[len(others) - min(len(said), keep) :] == said[-keep:]


def test_the_same_limit_gives_the_same_reducer_and_none_is_refused() -> None:
    assert keep_recent(5) is keep_recent(5)
    with pytest.raises(ValueError, match="at least 1"):
        keep_recent(0)


def test_a_memory_survives_a_strict_round_trip() -> None:
    assert survives([instruction("You plan."), *says(1)], Remembers) is None
