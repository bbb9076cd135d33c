"""Arguments: every command with its options and its help. Light to import: `interlock --help` loads no library."""

import argparse
from collections.abc import Sequence
from typing import Any, Final

from interlock.parser import Parser, amount, count, parsed

MODES: Final = ("auto", "extractive", "model")
MERGES: Final = ("keep_all", "majority", "newest", "trusted", "ask")
DOORS: Final = ("viewer", "operator", "admin")
ROLES: Final = ("planner", "writer", "judge", "reviewer")

ABOUT = """\
Workflows that cannot run away. `research` answers a question from your own documents, databases and web pages with a
cited report, with a language model or without one."""

EXAMPLES = """\
examples:
  interlock research "What did the Harbour Line cost?" --docs reports/ --db facts.sqlite --out report.html
  interlock research --questions questions.jsonl --docs reports/ --jsonl answers.jsonl
  interlock show RUN --json             a run's id is on stderr and in `interlock runs`; its beginning is enough
  interlock resume RUN                  go on with a run that was killed
  interlock check path/to/project       every way in which its graphs can run away
  interlock ceiling research            the most that a run can cost, before it starts
  interlock scan --output < reply.txt   secrets, personal data and active markup in a text
  interlock keys add ana --role viewer  a key for the server; from then on everybody needs one

exit codes: 0 complete, 3 partial, 4 refused, 5 stopped; 2 bad usage, 1 a fault of ours (check: 1 for holes;
ceiling: 1 above what is allowed; scan: 1 for findings)"""

MANY = """\
Many questions: FILE holds a JSON object a line, {"id": "...", "question": "..."}. OUT gets one JSON answer a line, in
the same order, each as soon as it is there. Run the same command again to go on where it stopped: what OUT answers
already is not asked again, what you stopped is.

The first Ctrl-C ends in a report of what was found so far, the second one at once."""


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command and its options.

    Raises:
        BadUsage: A command or an option is unknown, or has a value that it does not take.
    """
    parser = Parser(prog="interlock", description=ABOUT, epilog=EXAMPLES)
    parser.add_argument("--version", action="store_true", help="print the version")
    added = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands", parser_class=Parser)
    for add in (
        _research,
        _runs,
        _show,
        _resume,
        _check,
        _describe,
        _ceiling,
        _chaos,
        _scan,
        _audit,
        _serve,
        _keys,
        _doctor,
    ):
        add(added)
    args = parsed(parser, dict(added.choices), argv)
    if not args.command and not args.version:
        parser.error("no command")
    return args


def _research(commands: Any) -> None:
    it = _command(commands, "research", "answer a question, or many, from your own sources", epilog=MANY)
    it.add_argument("question", nargs="?", metavar="QUESTION", help="in quotes; - reads it from stdin")
    it.add_argument("--questions", metavar="FILE", help="many questions instead of one")
    it.add_argument("--jsonl", metavar="OUT", help="with --questions: where the answers go; left out: stdout")
    it.add_argument("--at-once", type=count, default=4, metavar="N", help="with --questions: how many side by side (4)")
    _sources(it.add_argument_group("sources", "at least one; each option may be given several times"))
    how = it.add_argument_group("how")
    how.add_argument("--mode", choices=MODES, default="auto", help="auto: with a language model if one is configured")
    how.add_argument("--model", action="append", default=[], metavar="[ROLE=]NAME", help=f"roles: {', '.join(ROLES)}")
    how.add_argument("--merge", choices=MERGES, default="keep_all", help="which of different values to choose (none)")
    how.add_argument("--trusted", action="append", default=[], metavar="SOURCE", help="for --merge trusted, best first")
    limits = it.add_argument_group("limits", "of one question; see `interlock describe research` for those that hold")
    limits.add_argument("--seconds", type=amount, metavar="S", help="wall time")
    limits.add_argument("--max-dollars", type=amount, metavar="USD", help="money for language models")
    limits.add_argument("--max-calls", type=count, metavar="N", help="calls of language models")
    _report(it)


def _sources(it: Any) -> None:
    it.add_argument("--docs", action="append", default=[], metavar="DIR", help="folder, or one file, to search")
    it.add_argument("--db", action="append", default=[], metavar="FILE", help="SQLite file; it is only read")
    it.add_argument("--url", action="append", default=[], metavar="URL", help="web page")
    it.add_argument("--search", default="", metavar="URL", help="search endpoint that speaks SearXNG's JSON")
    it.add_argument("--min-ok", type=count, metavar="N", help="how many of them must answer (all) to be complete")
    it.add_argument("--require", action="append", default=[], metavar="SOURCE", help="one of them that must answer")
    it.add_argument("--allow-loopback", action="store_true", help="let URLs lead to this machine itself")


def _runs(commands: Any) -> None:
    it = _command(commands, "runs", "list the runs that are kept, the newest first")
    it.add_argument("--limit", type=count, default=20, metavar="N", help="how many (20)")
    _json(it)


def _show(commands: Any) -> None:
    it = _command(commands, "show", "show the answer of a run again")
    _run(it)
    it.add_argument("--html", action="store_true", help="print one HTML page")
    _json(it)
    _out(it)


def _resume(commands: Any) -> None:
    it = _command(commands, "resume", "go on with a run that was killed; finished sources are not asked again")
    _run(it)
    it.add_argument("--answer", metavar="N,...", help="for a run that waits for you (--merge ask): one number a group")
    _report(it)


def _check(commands: Any) -> None:
    it = _command(commands, "check", "find every way in which a graph can run away")
    places = "module:graph, file.py[:graph], langgraph.json or a folder (./langgraph.json)"
    it.add_argument("target", nargs="?", metavar="TARGET", help=places)
    _json(it)


def _describe(commands: Any) -> None:
    it = _command(commands, "describe", "say what a graph is, what it may do, and its limits")
    it.add_argument("graph", metavar="GRAPH", help="a name in ./langgraph.json, or a target as for `interlock check`")
    _json(it)


def _ceiling(commands: Any) -> None:
    it = _command(commands, "ceiling", "say the most calls, tokens, dollars and seconds that a run of a graph can take")
    it.add_argument("graph", metavar="GRAPH", help="a name in ./langgraph.json, or a target as for `interlock check`")
    it.add_argument("--model", default="", metavar="NAME", help="the dearest model that it calls, for its price")
    gate = it.add_argument_group("a gate for CI", "exit code 1 when the ceiling is above")
    gate.add_argument("--max-dollars", type=amount, metavar="USD", help="money")
    gate.add_argument("--max-calls", type=count, metavar="N", help="model calls")
    gate.add_argument("--max-seconds", type=amount, metavar="S", help="wall time")
    _json(it)


def _chaos(commands: Any) -> None:
    it = _command(commands, "chaos", "break a graph in every way and see whether it survives; 1 if it does not")
    it.add_argument("graph", metavar="GRAPH", help="a name in ./langgraph.json, or a target as for `interlock check`")
    it.add_argument("--input", metavar="JSON", help="what each run is given; left out: made up from the graph's input")
    it.add_argument("--seed", type=count, default=1, metavar="N", help="which trials are drawn, and how they go (1)")
    it.add_argument("--runs", type=count, metavar="N", help="how many trials; left out: all of them")
    it.add_argument("--seconds", type=amount, default=4.0, metavar="S", help="what one run may take (4)")
    _json(it)


def _scan(commands: Any) -> None:
    it = _command(
        commands, "scan", "say what a text carries, or whether a URL would be fetched; 1 if anything is found"
    )
    side = it.add_mutually_exclusive_group()
    side.add_argument("--input", dest="side", action="store_const", const="input", help="orders to a model (default)")
    side.add_argument("--output", dest="side", action="store_const", const="output", help="what must not leave")
    side.add_argument("--url", metavar="URL", help="a URL instead of a text; nothing is fetched")
    it.add_argument("--jsonl", metavar="FILE", help='a text a line, {"text": "..."}; left out: one text on stdin')
    it.set_defaults(side="input")


def _serve(commands: Any) -> None:
    it = _command(commands, "serve", "serve the graphs with LangGraph's dev server; beyond this machine with keys only")
    it.add_argument("--host", default="127.0.0.1", help="where (127.0.0.1: this machine alone)")
    it.add_argument("--port", type=count, default=2024, metavar="N", help="2024")
    it.add_argument("--config", default="langgraph.json", metavar="FILE", help="langgraph.json")


def _keys(commands: Any) -> None:
    it = _command(commands, "keys", "make, list and revoke the API keys of the server")
    actions = it.add_subparsers(dest="action", required=True, metavar="ACTION", parser_class=Parser)
    add = _command(actions, "add", "make a key; it is printed once")
    add.add_argument("name", metavar="NAME", help="whose it is")
    add.add_argument("--tenant", default="", metavar="NAME", help="whose threads it sees; left out: its own name's")
    add.add_argument("--role", choices=DOORS, default="operator", help="viewer: looks; operator: runs; admin")
    add.add_argument("--days", type=amount, metavar="N", help="how long it is good; left out: until it is revoked")
    listed = _command(actions, "list", "list the keys, without what opens the door")
    _command(actions, "revoke", "let a key open nothing any more").add_argument("id", metavar="ID", help="its id")
    for one in (add, listed):
        _json(one)


def _audit(commands: Any) -> None:
    it = _command(commands, "audit", "verify, show or export the log of what was decided; 1 if it does not verify")
    it.add_argument("action", choices=("verify", "show", "export"), help="export prints one JSON entry a line")
    it.add_argument(
        "--head", default="", metavar="HASH", help="verify: an entry's hash, noted elsewhere, that must be there"
    )
    it.add_argument("--run", default="", metavar="RUN", help="entries of this run alone; its beginning is enough")
    it.add_argument("--limit", type=count, default=50, metavar="N", help="show: so many, the newest (50)")
    _json(it)


def _doctor(commands: Any) -> None:
    _json(_command(commands, "doctor", "say what is configured, what is missing, and what each choice would cost"))


def _command(commands: Any, name: str, about: str, **more: Any) -> Parser:
    it: Parser = commands.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.", **more)
    return it


def _run(it: Parser) -> None:
    it.add_argument("run", metavar="RUN", help="a run's id, or enough of its beginning")


def _report(it: Parser) -> None:
    _json(it)
    _out(it)
    it.add_argument("--quiet", action="store_true", help="no progress on stderr")


def _json(it: Parser) -> None:
    it.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else")


def _out(it: Parser) -> None:
    it.add_argument("--out", metavar="FILE", help="write the report there: .md, .html or .json; left out: stdout")
