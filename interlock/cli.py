"""The command line: parse, call, show."""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

EXIT = {"complete": 0, "partial": 3, "refused": 4, "stopped": 5}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="interlock")
    commands = parser.add_subparsers(dest="command", required=True)
    research = commands.add_parser("research")
    research.add_argument("question", nargs="?")
    research.add_argument("--questions", type=Path)
    research.add_argument("--docs", action="append", default=[])
    research.add_argument("--db", action="append", default=[])
    research.add_argument("--url", action="append", default=[])
    research.add_argument("--search", default="")
    research.add_argument("--json", action="store_true")
    research.add_argument("--jsonl", type=Path)
    research.add_argument("--at-once", type=int, default=2)
    return asyncio.run(_research(parser.parse_args(argv)))


async def _research(args: argparse.Namespace) -> int:
    if args.questions is None:
        answer = await _answer(args, args.question, "")
        print(answer.model_dump_json() if args.json else answer.report)
        return EXIT[answer.outcome]
    jobs = [json.loads(line) for line in args.questions.read_text(encoding="utf-8").splitlines() if line.strip()]
    gate = asyncio.Semaphore(args.at_once)

    async def one(job: dict[str, Any]) -> Any:
        async with gate:
            return await _answer(args, job["question"], str(job.get("id", "")))

    tasks = [asyncio.create_task(one(job)) for job in jobs]
    worst = 0
    with args.jsonl.open("w", encoding="utf-8") if args.jsonl else sys.stdout as out:
        for task in tasks:
            answer = await task
            out.write(answer.model_dump_json() + "\n")
            out.flush()
            worst = max(worst, EXIT[answer.outcome])
    return worst


async def _answer(args: argparse.Namespace, question: str, name: str) -> Any:
    from graphs.research import graph

    given: Any = {"question": question, "docs": args.docs, "databases": args.db, "urls": args.url}
    result = await graph.ainvoke({**given, **({"search": args.search} if args.search else {})})
    return result["answer"].model_copy(update={"id": name or result["run"].id})
