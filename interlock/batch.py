"""Many questions: a few side by side, answered in their order, each answer written as soon as it is there."""

import argparse
import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from interlock import inputs
from interlock.answers import Answers, opened
from interlock.exits import STOPPED, BadUsage
from interlock.lifeguard import with_lifeguard
from interlock.process import run
from interlock.questions import read_questions
from interlock.stopping import Stopping
from interlock.terminal import say

if TYPE_CHECKING:
    from interlock.runner import Job
    from interlock.store import Store
    from state.answer import Answer


def main(args: argparse.Namespace) -> int:
    """Check everything that was typed and every line of the file, then ask."""
    for option, given in {"QUESTION": args.question, "--out": args.out, "--json": args.json}.items():
        if given:
            raise BadUsage(
                f"{option} is for one question: with --questions FILE the answers go to --jsonl OUT or stdout"
            )
    if args.merge == "ask":
        raise BadUsage("--merge ask needs you at every question: choose another one for --questions")
    questions, sources = read_questions(Path(args.questions)), inputs.sources_of(args)
    inputs.check_data_folder()
    jobs = [inputs.job(args, {**sources, "question": one.question}, one.id) for one in questions]
    with opened(args.jsonl and inputs.writable(Path(args.jsonl), "--jsonl")) as answers:
        return run(lambda stopping: _ask(jobs, answers, args, stopping), traced=True)


async def _ask(jobs: "Sequence[Job]", answers: Answers, args: argparse.Namespace, stopping: Stopping) -> int:
    from interlock.store import open_store

    tell = (lambda text: None) if args.quiet else say
    left = [job for job in jobs if job.id not in answers.codes]
    done, cut = len(jobs) - len(left), False
    if done:
        tell(f"{done} of {len(jobs)} are answered already")
    async with open_store() as store:
        async for answer in _in_order(left, store, args, stopping):
            cut = cut or (bool(stopping.reason) and answer.outcome == "stopped")
            if not cut:  # what was stopped, or stands behind it, is asked again
                answers.add(answer)
                done += 1
                tell(f"{done}/{len(jobs)} {answer.id}: {answer.outcome}. {answer.stop_reason}")
    if done < len(jobs):
        say(f"{len(jobs) - done} of {len(jobs)} questions are left: the same command goes on with them")
        return STOPPED
    return max(answers.codes[job.id] for job in jobs)


async def _in_order(
    jobs: "Sequence[Job]", store: "Store", args: argparse.Namespace, stopping: Stopping
) -> "AsyncIterator[Answer]":
    """The answers in the order of the questions; none runs more than `--at-once` ahead of the one waited for."""
    waiting = deque(jobs)
    running: deque[asyncio.Task[Answer]] = deque()
    while running or (waiting and not stopping.reason):
        while waiting and len(running) < args.at_once and not stopping.reason:
            running.append(asyncio.create_task(_one(waiting.popleft(), store, args, stopping)))
        yield await running.popleft()


async def _one(job: "Job", store: "Store", args: argparse.Namespace, stopping: Stopping) -> "Answer":
    from interlock.runner import start

    with stopping.watched(lambda event: None) as watch, with_lifeguard(watch, args) as seen:
        return await start(job, store, seen)
