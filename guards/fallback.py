"""Fallback: the plan that needs no agent, and the nodes that close a run."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

Node = TypeVar("Node", bound=Callable[..., Any])


def fallback(primary: Node, plain: Callable[..., Any]) -> Node:
    """Give a node a plain way to do its job (guide: "always have a fallback plan").

    Under a guard `plain` runs with the same state when `primary` raises, times out, passes a limit, or when the run
    is already ending; the loss is recorded in `run.missing` and the outcome is at best `partial`. Without a guard
    the node is just `primary`.

    Args:
        primary: The node.
        plain: An async node function that needs no agent; it gets one attempt.
    """
    node = marked(primary)
    node.fallback = plain  # type: ignore[attr-defined]
    return node


def closing(node: Node) -> Node:
    """Mark a deterministic node that must run also when the run is ending: merge, publish, clean output."""
    node = marked(node)
    node.closing = True  # type: ignore[attr-defined]
    return node


def marked(node: Node) -> Node:
    """A function of its own to put the mark on, so that the same function stays unmarked elsewhere."""

    @functools.wraps(node)
    async def marked(*args: Any, **kwargs: Any) -> Any:
        return await node(*args, **kwargs)

    return marked  # type: ignore[return-value]
