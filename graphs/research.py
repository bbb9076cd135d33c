"""Research: clean the question, plan, collect from all sources at once, merge, look again, settle, write, review,
publish.
"""

from collections.abc import Awaitable, Callable

from langgraph.graph import END, START, StateGraph

from guards import INPUT, OUTPUT, Limits, Policy, Step, agent, clean, closing, fallback, gather, guard, loop
from nodes.follow_up import follow_up
from nodes.merge import merge
from nodes.plan import plan, plan_by_rule
from nodes.publish import publish
from nodes.review import review, verify
from nodes.settle import settle
from nodes.sources.collecting import Collecting
from nodes.sources.database import database
from nodes.sources.documents import documents
from nodes.sources.web import web
from nodes.write import assemble, write
from state.research import Asked, Brief, Context, Gathered, Question, Research, Result

Collector = Callable[[Asked], Awaitable[Collecting]]

POLICY = Policy(
    seconds=300,
    timeout=30,
    attempts=2,
    calls=40,
    dollars=1.00,
    degrade=(Step("extractive", at=0.8), Step("extractive", at=0.8, of="seconds")),
)
NO_MODEL = POLICY.but(per_attempt=Limits(calls=0))
ONE_QUESTION = POLICY.but(per_attempt=Limits(calls=2, output_tokens=2_000))  # asked again where a schema is refused
NODES = {
    **dict.fromkeys(("merge", "follow_up", "settle", "publish"), NO_MODEL),
    **dict.fromkeys(("plan", "review"), ONE_QUESTION),
    "write": POLICY.but(per_attempt=Limits(calls=4, output_tokens=10_000)),  # the writer, and the judge beside it
}
SOURCES = NO_MODEL.but(timeout=60, attempts=1)

PLACES = ("docs", "databases", "urls", "search")
ROUND = ("question", "queries", "followed")
FOUND = ("question", "plan", "evidence", "conflicts", "draft", "run", *PLACES)


def looked_twice(state: Gathered) -> bool:
    """The second round has been collected, or there was nothing to look up."""
    return bool(state.get("followed")) or not state.get("evidence")


def approved(state: Brief) -> bool:
    """The reviewer has no objection."""
    return "review" in state and state["review"].approved


def collectors() -> list[Collector]:
    """What reads from outside; a person's own files and databases are private."""
    return [
        agent(documents, reads=[*ROUND, "docs"], writes=["collected"], brings="documents", private=True),
        agent(database, reads=[*ROUND, "databases"], writes=["collected"], brings="database", private=True),
        agent(web, reads=[*ROUND, "urls", "search"], writes=["collected"], brings="web"),
    ]


def build() -> StateGraph[Research, Context, Question, Result]:
    """The drawing, unguarded."""
    graph = StateGraph(Research, input_schema=Question, output_schema=Result, context_schema=Context)
    graph.add_node("clean_input", clean(INPUT, "question"))
    graph.add_node("plan", agent(fallback(plan, plan_by_rule), reads=["question", *PLACES], writes=["plan", "queries"]))
    graph.add_node(
        "merge", agent(closing(merge), reads=["question", "plan", "collected", "evidence"], writes=["evidence"])
    )
    graph.add_node("follow_up", agent(follow_up, reads=["question", "evidence"], writes=["queries", "followed"]))
    graph.add_node(
        "settle", agent(closing(settle), reads=["question", "plan", "evidence", "run"], writes=["conflicts"])
    )
    graph.add_node("write", agent(fallback(write, assemble), reads=[*FOUND, "review"], writes=["draft", "conflicts"]))
    graph.add_node(
        "review", agent(fallback(review, verify), reads=["question", "plan", "evidence", "draft"], writes=["review"])
    )
    graph.add_node("publish", agent(closing(publish), reads=[*FOUND, "review", "collected"], writes=["answer"]))
    graph.add_node("clean_output", clean(OUTPUT, "answer"))

    graph.add_edge(START, "clean_input")
    graph.add_edge("clean_input", "plan")
    gather(graph, ["plan", "follow_up"], collectors(), into="merge", policy=SOURCES, min_ok=0)
    loop(graph, "merge", back_to="follow_up", until=looked_twice, at_most=2, then="settle", enough=True)
    graph.add_edge("settle", "write")
    graph.add_edge("write", "review")
    loop(graph, "review", back_to="write", until=approved, at_most=3, then="publish")
    graph.add_edge("publish", "clean_output")
    graph.add_edge("clean_output", END)
    return graph


graph = guard(build(), POLICY, name="research", nodes=NODES)
