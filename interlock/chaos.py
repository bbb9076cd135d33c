"""`interlock chaos`: break a graph in every way, and look whether it keeps its promises.

Each trial is a run with one fault, in a process beside this one, with a checkpointer and a data folder of its own. The
graph's times are shortened so that a hang costs little. `--seed` decides which trials are drawn and how they go.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from interlock.exits import HOLES, STOPPED, BadUsage
from interlock.targets import one_graph
from interlock.terminal import line, put, say

if TYPE_CHECKING:
    from interlock.chaotic.crew import Crew
    from interlock.chaotic.trial import Verdict

OF_A_NODE: Final = (
    "exception",
    "hang",
    "cancel",
    "swallow",
    "junk",
    "huge",
    "clock forward",
    "clock back",
    "low memory",
)
OF_A_RUN: Final = ("429 storm", "resets", "partition", "no budget", "no time")
RESEARCH: Final = {
    "question": "Which sources disagree about what the Harbour Line cost?",
    "docs": ["examples/docs"],
}
MADE_UP: Final = {"string": "What is known?", "array": [], "object": {}, "integer": 1, "number": 1.0, "boolean": False}


@dataclass(frozen=True)
class Trial:
    """One fault in one place: a node, or the whole run where `node` is empty. `kill`: at which checkpoint."""

    fault: str
    node: str = ""
    kill: int = 0

    @property
    def column(self) -> str:
        """What the table calls it."""
        return f"SIGKILL at save {self.kill}" if self.fault == "kill" else self.fault


def main(args: argparse.Namespace) -> int:
    """Try to break a graph; 1 when an invariant did not hold."""
    from interlock.chaotic.crew import Crew

    nodes, given = _looked_at(args.graph, args.input)
    done: list[tuple[Trial, Verdict]] = []
    with Crew(args.graph, given, args.seconds) as crew:
        clean = crew.try_out(crew.spec())
        if clean.broken:
            raise BadUsage(f"without any fault it does not hold either: {'; '.join(clean.broken)}: see --input")
        trials = _drawn(nodes, clean.saves, args.seed, args.runs)
        try:
            for number, trial in enumerate(trials, 1):
                verdict = _tried(crew, trial, clean, args.seed)
                done.append((trial, verdict))
                _progress(number, len(trials), trial, verdict)
        except KeyboardInterrupt:
            say(f"stopped after {len(done)} of {len(trials)} trials")
    _show(done, args.json)
    if len(done) < len(trials):
        return STOPPED
    return HOLES if any(verdict.broken for _, verdict in done) else 0


def _looked_at(target: str, given: str | None) -> tuple[list[str], dict[str, Any]]:
    """The graph's nodes, and what its runs are given."""
    from guards.guard import drawing_of, is_guarded

    with one_graph(target) as one:
        if one.holes or not is_guarded(one.graph):
            raise BadUsage(f"'{one.name}' is no guarded graph: graph = guard(build(), POLICY); see `interlock check`")
        drawing = drawing_of(one.graph)
        return list(drawing.nodes), _read(given) if given else _made_up(one.graph)


def _read(given: str) -> dict[str, Any]:
    try:
        read = json.loads(given)
    except ValueError as error:
        raise BadUsage(f'--input is no JSON ({error}): write an object, as --input \'{{"question": "..."}}\'') from None
    if not isinstance(read, dict):
        raise BadUsage("--input must be a JSON object, one value for each key of the graph's input")
    return read


def _made_up(graph: Any) -> dict[str, Any]:
    """Something for every key that the graph's input has; for `research` a question over examples/."""
    properties = graph.get_input_jsonschema().get("properties", {})
    if {"question", "docs"} <= properties.keys():
        return RESEARCH
    made = {key: MADE_UP[kind] for key, how in properties.items() if (kind := how.get("type", "")) in MADE_UP}
    if not made:
        raise BadUsage("nobody can tell what the graph is given: say it with --input JSON")
    return made


def _drawn(nodes: Sequence[str], saves: int, seed: int, runs: int | None) -> list[Trial]:
    """Every trial, or so many of them."""
    every = [Trial(fault, node) for node in nodes for fault in OF_A_NODE]
    every += [Trial(fault) for fault in OF_A_RUN]
    every += [Trial("kill", kill=number) for number in range(1, saves + 1)]
    every += [Trial("damaged checkpoints", kill=number) for number in range(1, saves + 1)]
    if runs is None or runs >= len(every):
        return every
    return random.Random(seed).sample(every, runs)  # noqa: S311 - reproducible


def _tried(crew: "Crew", trial: Trial, clean: "Verdict", seed: int) -> "Verdict":
    from dataclasses import replace

    if not trial.kill:
        return crew.try_out(crew.spec(fault=trial.fault, node=trial.node, seed=seed))
    fault = "" if trial.fault == "kill" else trial.fault
    verdict = crew.killed(crew.spec(fault=fault, kill=trial.kill, seed=seed + trial.kill))
    if verdict.outcome.startswith("said: "):
        return verdict
    return replace(verdict, broken=(*verdict.broken, *_unlike(verdict, clean, trial)))


def _unlike(verdict: "Verdict", clean: "Verdict", trial: Trial) -> Iterator[str]:
    """What a run that was killed and went on has that the clean one has not."""
    if verdict.broken:
        return
    if (verdict.outcome, verdict.keys) != (clean.outcome, clean.keys):
        yield f"ended {verdict.outcome} with {', '.join(verdict.keys)}, the clean run {clean.outcome}"
    again = Counter(verdict.ran) - Counter(clean.ran)
    if trial.fault == "kill" and any(number > 1 for number in again.values()):
        yield f"finished work was done again: {', '.join(sorted(again))}"


def _progress(number: int, of: int, trial: Trial, verdict: "Verdict") -> None:
    where = f" in {trial.node}" if trial.node else ""
    say(f"{number}/{of} {trial.column}{where}: {_said(verdict)}")


def _said(verdict: "Verdict") -> str:
    return f"FAILED: {'; '.join(verdict.broken)}" if verdict.broken else f"survived, {verdict.outcome}"


def _show(done: "Sequence[tuple[Trial, Verdict]]", as_json: bool) -> None:
    if as_json:
        trials = [{**asdict(trial), **asdict(verdict), "survived": not verdict.broken} for trial, verdict in done]
        put(json.dumps({"trials": trials, "survived": sum(not verdict.broken for _, verdict in done)}))
        return
    put("\n".join(_table(done)))


def _table(done: "Sequence[tuple[Trial, Verdict]]") -> Iterator[str]:
    """Node by fault: survived of tried; then what failed, with its reason."""
    rows: dict[str, Counter[str]] = {}
    lost: dict[str, Counter[str]] = {}
    for trial, verdict in done:
        row, fault = trial.node or "(the run)", "SIGKILL, resume" if trial.fault == "kill" else trial.fault
        rows.setdefault(row, Counter())[fault] += 1
        lost.setdefault(row, Counter())[fault] += bool(verdict.broken)
    width = max(map(len, rows), default=0)
    for row, tried in rows.items():
        cells = [f"{fault} {number - lost[row][fault]}/{number}" for fault, number in tried.items()]
        yield f"{row.ljust(width)}  {', '.join(cells)}"
    for trial, verdict in done:
        if verdict.broken:
            yield line(
                f"FAILED  {trial.column}{f' in {trial.node}' if trial.node else ''}: {'; '.join(verdict.broken)}", 300
            )
    survived = sum(not verdict.broken for _, verdict in done)
    yield f"{survived} of {len(done)} trials survived"
