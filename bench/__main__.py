"""All measures at once: one table, recorded in `bench/RESULTS.md` with the machine; exit code 1 when a bar is missed.

What happens to the same graph bare and guarded is recorded under it (`bench.faults`).

`python -m bench [start width guard_cost memory indexing]`: the named ones alone are printed and not recorded.
"""

import importlib
import importlib.metadata
import os
import platform
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from bench import faults
from bench.table import Row, show

RESULTS = Path(__file__).with_name("RESULTS.md")
MEASURES = (
    *("start", "width", "guard_cost", "memory", "agents", "memory_rot", "indexing", "ledger_cost", "security_cost"),
    "concurrency",
)
FAULTS = "## Bare against guarded on the same faults"
LIBRARIES = ("langgraph", "langchain-core", "pydantic")


def machine() -> str:
    """One line that says where and when it was measured."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    system = f"{platform.system()} {platform.machine()}"
    return f"Measured {time.strftime('%Y-%m-%d')} on {os.cpu_count()} cores, {system}, {python}, {versions}."


def measure(name: str) -> list[Row]:
    """The rows of one measure."""
    print(f"measuring {name} ...", file=sys.stderr, flush=True)
    rows: list[Row] = importlib.import_module(f"bench.{name}").measure()
    return rows


def main(names: list[str]) -> int:
    """Run the measures and show them; 1 when a bar was missed, 2 for an unknown measure."""
    known = [name for name in MEASURES if find_spec(f"bench.{name}")]
    if unknown := set(names) - set(known):
        print(f"no such measure: {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    rows = [row for name in names or known for row in measure(name)]
    text = f"{machine()}\n\n{show(rows)}"
    print(text, flush=True)
    if not names:
        print("measuring faults ...", file=sys.stderr, flush=True)
        table = faults.table()
        print(f"\n{table}", flush=True)
        RESULTS.write_text(f"# Results of `make bench`\n\n{text}\n\n{FAULTS}\n\n{table}\n", encoding="utf-8")
    return int(not all(row.passed for row in rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
