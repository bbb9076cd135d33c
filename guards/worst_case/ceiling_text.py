"""Ceiling text: a ceiling for a terminal, at most 80 columns wide as long as names are short."""

from collections.abc import Iterator

from guards.worst_case.ceiling import NO_CALL, SHOWN, Ceiling, Term
from guards.worst_case.most import NONE

BASES = {NO_CALL: "no calls", "cleaner": "no calls", "unbounded": "run only"}
HEAD = ("node", "runs", "tries", "each", "calls", "tokens", "dollars", "seconds", "known from")


def text(it: Ceiling) -> str:
    """The figures, what binds them, each term, and what nothing but the run's limit bounds."""
    most = ", ".join(f"{shown(quantity, it.of(quantity))} {unit}".rstrip() for quantity, unit in _UNITS.items())
    steps = "unbounded" if it.supersteps is None else f"at most {it.supersteps}"
    note = "" if it.guarded else " (not guarded: nobody enforces this; default limits)"
    lines = [f"{it.name}{note}: at most {most}; supersteps {steps}", ""]
    rows: list[tuple[str, ...]] = [("", "ceiling", "run limit", "sum of terms", "what binds")]
    rows += [
        (
            quantity,
            *(shown(quantity, one) for one in (it.of(quantity), it.limits[quantity], it.sums[quantity])),
            it.binds[quantity],
        )
        for quantity in SHOWN
    ]
    lines += _table(rows)
    lines += [
        "",
        "terms: runs (rounds x width) x tries (+1: fallback) x calls each; -: no bound",
        *_table([HEAD, *_rows(it, "")]),
    ]
    for title, held in (("held by the run's limit alone", True), ("UNBOUNDED", False)):
        found = [one for one in it.unbounded if one.held_by_run == held]
        lines += ["", title] if found else []
        for one in found:
            lines += [f"  {one.what}", f"    cure: {one.cure}"]
    return "\n".join(lines)


def shown(quantity: str, value: float | None) -> str:
    """One figure in its unit."""
    if value is None:
        return "-"
    if quantity == "dollars":
        return f"${value:,.2f}" if value >= 0.1 or value == 0 else f"${value:.4f}"
    return f"{value:,.0f}"


_UNITS = {"calls": "calls", "tokens": "tokens", "dollars": "", "seconds": "s"}


def _rows(it: Ceiling, before: str) -> Iterator[tuple[str, ...]]:
    for term in it.terms:
        yield _row(term, before)
        if term.inside is not None:
            yield from _rows(term.inside, before + "  ")


def _row(term: Term, before: str) -> tuple[str, ...]:
    runs = "-" if term.executions is None else str(term.executions)
    tries = f"{term.attempts}" + ("+1" if term.fallback != NONE else "")
    figures = (shown(quantity, getattr(term.total, quantity)) for quantity in SHOWN[:3])
    basis = BASES.get(term.basis, term.basis)
    each = shown("calls", term.attempt.calls)
    return before + term.node, runs, tries, each, *figures, shown("seconds", term.seconds), basis


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if place in (0, last) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
