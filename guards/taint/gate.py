"""Taint gate: a call that changes the world, made after something from outside was read, waits for a person.

What counts: calls of declared tools in a graph with `Policy(acts=Acts(...))`. A read of anything but the user's own
records taints the run from there on, for good: taint is in the run's record, passes to and from sub-agents, and
survives checkpoints and resumes. A tainted call that writes, sends or spends is made at once only when its tool is
planned and it says nothing but what the user said (`guards.taint.words`). Any other stops at an `interrupt` that shows
what, to whom and why; only yes lets it pass, once. Undeclared tools are refused. Source of the rule: CaMeL; the rule of
two.

Not covered: what a tool does beyond its declaration; tools that are called without LangChain. A node begins anew when a
person has answered, so let it make one call that changes the world.
"""

from typing import Any, Final

from guards.audit.record import Decision, record
from guards.calls.calls import Call, Usage
from guards.errors import Permanent
from guards.taint.acts import Acts, narrower
from guards.taint.answers import says_yes
from guards.taint.declared import Declared
from guards.taint.words import LONGEST, folded, strange_sinks, strangers
from state.label import PROGRAM, Label, outside

SHOWN: Final = 500
"""Characters of an argument that the person is shown."""

ABSENT: Final = object()


class Refusal(Permanent):
    """A call that must not be made.

    Args:
        tool: Its tool.
        why: What is wrong and what to do.
    """

    def __init__(self, tool: str, why: str) -> None:
        super().__init__(f"tool '{tool}' was not called: {why}")
        self.tool, self.limit = tool, "taint"


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
        acts = call.attempt.scope.policy.acts
        if acts is None:
            return
        said = call.declared
        if said is None:
            raise Refusal(call.name, "nobody declared what it does: guards.declare(tool, effect=..., sinks=...)")
        if said.effect == "read":
            return
        scope = call.attempt.scope
        role = narrower(narrower(acts.role, scope.run.role), scope.role)
        if role == "viewer":
            raise Refusal(call.name, "a viewer may only read: ask an operator")
        if role != "admin" and (why := reasons(call, said)):
            self._ask(call, said, why)

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

    def _ask(self, call: Call, said: Declared, why: list[str]) -> None:
        from langgraph.types import interrupt

        label = call.attempt.taint.label
        sources = label.sources
        record("asked", "tool call", agent=call.attempt.node, tool=call.name, taint=sources, rules=why)
        answer = interrupt(
            {
                "kind": "tainted call",
                "tool": call.name,
                "effect": said.effect,
                "to": {name: _shown(call.arguments.get(name)) for name in said.sinks if name in call.arguments},
                "arguments": {name: _shown(value) for name, value in call.arguments.items()},
                "why": why,
                "sources": list(sources),
                "confidentiality": label.confidentiality,
                "answers": ["yes", "no"],
            }
        )
        agreed = says_yes(answer)
        decision: Decision = "approved" if agreed else "denied"
        record(decision, "tool call", agent=call.attempt.node, tool=call.name, taint=sources, rules=why)
        if not agreed:
            raise Refusal(call.name, "a person said no")


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


class Taint:
    """What an attempt knows of where its texts come from. It only ever widens; safe with several threads.

    Attributes:
        label: Of all that it has read.
        words: The user's own words, folded.
        vouched: Values of the user's own records, folded.
        plan: Names of planned tools; None: all are.
        kept: Whether anybody wants to know.
    """

    def __init__(self, label: Label, words: str, vouched: str, plan: frozenset[str] | None, kept: bool = True) -> None:
        self.label, self.words, self.vouched, self.plan, self.kept = label, words, vouched, plan, kept

    @property
    def known(self) -> str:
        """What the user and the user's records say."""
        return f"{self.words} {self.vouched}"

    def widen(self, label: Label) -> None:
        """Something more was read."""
        self.label = self.label | label

    def vouch(self, text: str) -> None:
        """The user's own records say this."""
        self.vouched = f"{self.vouched} {folded(text)}"[-LONGEST:]


CLEAR: Final = Taint(PROGRAM, "", "", None, kept=False)
OWN: Final = PROGRAM.model_copy(update={"confidentiality": "private"})
"""What the user's own private records say."""


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text):,} characters)"


def beginning(acts: Acts | None, read: Any, label: Label, vouched: str, above: Taint) -> Taint:
    """The taint that an attempt begins with.

    Args:
        acts: The policy's.
        read: Reads a state key.
        label: Of what the node is shown.
        vouched: What the user's own records said so far.
        above: The enclosing agent's: a sub-agent gets its task from there, so those are the user's words.
    """
    plan = None if acts is None or acts.plan is None else frozenset(map(str, read(acts.plan) or ()))
    words = above.words or ("" if acts is None else folded(_text(read(acts.words))))
    known = f"{vouched} {above.vouched}".strip()
    return Taint(label | above.label, words, known, above.plan if above.kept else plan)


def _text(value: Any) -> str:
    """A person's words in a text, a message or a conversation, of which only the person's own messages count."""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return " ".join(_text(one) for one in value if getattr(one, "type", "human") == "human")
    return _text(getattr(value, "content", "")) if hasattr(value, "content") else ""
