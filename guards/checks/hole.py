"""Hole: one reason why a drawing is not safe to run, with its cure."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Hole:
    """One finding of the static checks.

    Attributes:
        rule: Short id, kebab-case; stable.
        node: The node it is about, or the way: "a -> b".
        problem: What is wrong, in one line.
        cure: What to write instead, in one line.
        graph: The graph it was found in, when several were checked.
    """

    rule: str
    node: str
    problem: str
    cure: str
    graph: str = ""

    def __str__(self) -> str:
        place = f"{self.graph}: {self.node}" if self.graph else self.node
        return f"{place}: {self.problem} [{self.rule}]. Cure: {self.cure}"

    def as_dict(self) -> dict[str, str]:
        """The finding as plain data, for JSON."""
        return asdict(self)


def in_order(holes: "list[Hole] | set[Hole]") -> list[Hole]:
    """Without repetition, in an order that depends on nothing but the holes."""
    return sorted(set(holes), key=lambda hole: (hole.graph, hole.rule, hole.node, hole.problem))
