"""Taint gate: a call that changes the world, made after something from outside was read, waits for a person.

What counts: calls of declared tools in a graph with `Policy(acts=Acts(...))`, and in its sub-agents. What an agent has
read is the label of its keys, its tools' answers and what it brings (`state.label`), and of all that the run has read
where it declares nothing; a read of the user's own records taints nothing and vouches. A tainted call that writes,
sends or spends is made at once only when its tool is planned and it says nothing but what the user said
(`guards.taint.words`). Any other stops at an `interrupt` (`guards.taint.question`), and so does one that an execution
before has begun (`guards.taint.once`). Undeclared tools, those that an agent may not call, and arguments that hold a
secret are refused. Source of the rule: CaMeL; the rule of two.

Not covered: what a tool does beyond its declaration; tools that are called without LangChain.
"""

from typing import TYPE_CHECKING, Final

from guards.calls.calls import Call, Usage
from guards.taint.acts import Role, narrower
from guards.taint.declared import Declared
from guards.taint.once import begun_before
from guards.taint.question import ask
from guards.taint.refusal import Refusal
from guards.taint.taint import OWN
from guards.taint.words import strange_sinks, strangers
from guards.text.sweep import hidden
from state.label import PROGRAM, outside

if TYPE_CHECKING:
    from guards.running.scope import Scope

ABSENT: Final = object()


class TaintGate:
    """Stands before all other gates: what is not allowed reserves nothing."""

    async def enter(self, call: Call) -> None:
        """Let a tool's call through, ask a person, or refuse it.

        Raises:
            Refusal: The tool is undeclared, the role does not allow it, or a person said no.
        """
        if call.kind != "tool":
            return
        check_may_call(call)
        check_no_secret(call)
        held = [link.scope for link in call.attempt.chain() if link.scope.policy.acts is not None]
        if not held:
            return
        said = call.declared
        if said is None:
            raise Refusal(call.name, "nobody declared what it does: guards.declare(tool, effect=..., sinks=...)")
        if said.effect == "read":
            return
        role = _narrowest(held)
        if role == "viewer":
            raise Refusal(call.name, "a viewer may only read: ask an operator")
        if role != "admin":
            await self._hold_to_words(call, said)
        if not said.idempotent:
            call.attempt.taint.acted = call.attempt.taint.acted or call.name

    async def _hold_to_words(self, call: Call, said: Declared) -> None:
        if why := reasons(call, said):
            ask(call, said, why)
        if not said.idempotent and await begun_before(call):
            ask(call, said, ["it was begun before, in an execution that was cut off, and may be done"], again=True)

    def leave(self, call: Call, error: BaseException | None, usage: Usage | None) -> None:
        """What a read returned taints the run, or vouches for what is in it."""
        said, taint = call.declared, call.attempt.taint
        if call.kind != "tool" or said is None or error is not None or taint is None or not taint.kept:
            return
        if said.trusted:
            taint.vouch(call.output)
            taint.widen(OWN if said.private else PROGRAM)
        elif said.effect in ("read", "egress"):
            taint.widen(outside(f"tool {call.name}", said.private))


def _narrowest(held: "list[Scope]") -> Role:
    """What the run's caller may do, by every policy and every caller around it."""
    role: Role = "admin"
    for scope in held:
        for one in (scope.policy.acts.role if scope.policy.acts else "", scope.run.role, scope.role):
            role = narrower(role, one)
    return role


def reasons(call: Call, said: Declared) -> list[str]:
    """Why a person must be asked; empty when the call may be made."""
    taint = call.attempt.taint
    integrity = taint.label.integrity
    if integrity in ("author", "user"):
        return []
    if integrity == "typed":
        return [_foreign(name) for name in strange_sinks(call.arguments, said.sinks, taint.known)]
    why = [] if taint.plan is None or call.name in taint.plan else ["the tool is not in the plan"]
    return why + [_foreign(name) for name in strangers(call.arguments, said.sinks, taint.known)]


def _foreign(name: str) -> str:
    return f"'{name}' is not in the user's words"


def check_may_call(call: Call) -> None:
    """Hold a call to what the agent, and every agent around it, may call.

    Raises:
        Refusal: One of them may not call this tool.
    """
    for link in call.attempt.chain():
        if link.may is not None and link.may.calls.get(call.name, ABSENT) != call.declared:
            raise Refusal(call.name, f"agent '{link.node}' may not call it: agent(..., calls=[..., {call.name}])")


def check_no_secret(call: Call) -> None:
    """No tool is told a secret of this process: where it would go from there nobody sees.

    Raises:
        Refusal: An argument holds one, in any spelling.
    """
    for name, value in call.arguments.items():
        if hidden(value) is not value:
            raise Refusal(call.name, f"its argument '{name}' holds a registered secret")
