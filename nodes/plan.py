"""Plan: what to look for. The rules always plan; a model, where there is one, adds to their plan."""

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes import prompt
from nodes.models import ask, wanted
from nodes.question import check_question
from nodes.text.named import read_plan
from state.report import Plan
from state.research import Asked, Context

SUB_QUESTIONS = 5
NAMES = 20
PROMPT = """You are the planner of a research pipeline. It searches documents by their words.
Split the question into at most 5 sub-questions, each answerable by itself and worded as the documents would word it; a
simple question is its own only sub-question. List the people, organisations, products and titles that it names, and
its dates and years, as they stand there. Do not answer it."""


class Planning(BaseModel):
    """What to look for."""

    sub_questions: list[str] = Field(description="At most 5.")
    names: list[str] = Field(description="Names in the question.")
    dates: list[str] = Field(description="Dates, years and quarters in the question.")


class Planned(TypedDict):
    """What planning writes."""

    plan: Plan
    queries: list[str]


async def plan(state: Asked, runtime: Runtime[Context]) -> Planned:
    """Plan by rule, widened by a model if the run has one; the whole question is searched first.

    Raises:
        Refused: The input cannot be answered; also what `nodes.models.ask` raises.
    """
    check_question(state)
    if not wanted(runtime.context):
        return await plan_by_rule(state)
    asked = prompt.messages(PROMPT, prompt.question(state["question"]))
    made = _widened(read_plan(state["question"]), await ask("planner", runtime.context, Planning, asked))
    return {"plan": made, "queries": list(dict.fromkeys((state["question"], *made.sub_questions)))}


async def plan_by_rule(state: Asked) -> Planned:
    """The plan that needs no model. It searches the question whole: splitting it by rule finds less."""
    return {"plan": read_plan(state["question"]), "queries": [state["question"]]}


def _widened(ruled: Plan, planning: Planning) -> Plan:
    """The rules' plan with the model's additions, bounded whatever it replied."""
    return ruled.model_copy(
        update={
            "sub_questions": prompt.clipped(planning.sub_questions, SUB_QUESTIONS, 300) or ruled.sub_questions,
            "names": prompt.clipped((*ruled.names, *planning.names), NAMES, 100),
            "dates": prompt.clipped((*ruled.dates, *planning.dates), NAMES, 40),
        }
    )
