"""Settle: group the different values that the evidence gives for the same thing, and apply the run's merge policy.

Nothing is averaged or dropped: a policy only names one of the values, and the report says which rule did.
"""

import asyncio
from collections.abc import Sequence

from langgraph.config import get_config
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from guards.running.attempt import current_attempt
from guards.running.scope import stop_request
from guards.running.wiring import can_resume, resumed_by_person
from nodes.text.policies import answered, applied
from state.evidence import Finding
from state.guarded import Guarded, Missing, Run
from state.report import Conflict, Plan
from state.research import Brief, Context

ASK = "For each group name the value that holds, exactly as it stands here, or leave it empty to keep all of them."


class Settled(Guarded, total=False):
    """What settling writes."""

    conflicts: list[Conflict]


async def settle(state: Brief, runtime: Runtime[Context]) -> Settled:
    """Group the values; pick by the policy of the run's context.

    Under "ask" the run pauses once, if there is something to ask: the interrupt's value holds `ask`, the `question` and
    the `groups` as plain JSON. It is resumed with a list of one value a group, or a mapping from a group's number to a
    value. When nobody can be asked (no checkpointer, or the run is ending) all values are kept and the run says so.
    """
    context = runtime.context or Context()
    evidence = state.get("evidence", [])
    plan = state.get("plan") or Plan(question=state.get("question", ""))
    conflicts = await asyncio.to_thread(_grouped, evidence, plan)
    if conflicts and (context.merge == "ask" or resumed_by_person(get_config())):
        return _asked(state, plan, conflicts)
    return {"conflicts": applied(context.merge, conflicts, evidence, context.trusted)}


def _grouped(evidence: Sequence[Finding], plan: Plan) -> list[Conflict]:
    from nodes.text.values import group_values  # its many patterns are compiled when they are needed, off the loop

    return group_values(evidence, plan)


def _asked(state: Brief, plan: Plan, conflicts: Sequence[Conflict]) -> Settled:
    """What a person says of the groups; the groups as they are when nobody can be asked."""
    ending = _ending(state)
    if ending or not can_resume(get_config()):
        why = "the run was ending" if ending else "without a checkpointer it cannot wait for a person"
        return {"conflicts": list(conflicts), "run": Run(missing=(_unasked(f"{why}: all values are kept"),))}
    answer = interrupt({"ask": ASK, "question": plan.question, "groups": [_group(each) for each in conflicts]})
    return {"conflicts": answered(conflicts, answer)}


def _ending(state: Brief) -> bool:
    """Whether the run is on its way out, or was just told to stop."""
    attempt = current_attempt.get()
    return state.get("run", Run()).ending or (attempt is not None and stop_request(attempt.scope) is not None)


def _unasked(reason: str) -> Missing:
    return Missing(what="merge policy", status="skipped", reason=reason)


def _group(conflict: Conflict) -> dict[str, object]:
    return conflict.model_dump(mode="json", include={"subject", "kind", "values"})
