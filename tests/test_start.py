"""Loading a graph leaves the process as it was: the garbage collector works, and keeps what it had."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOLD = "import gc; print(gc.isenabled(), gc.get_freeze_count() > 0)"
CASES = {
    "fresh": ("import graphs", "True True"),
    "LangGraph is loaded already": ("import langgraph.graph, graphs", "True False"),
    "nobody wants it collected": ("import gc; gc.disable(); import graphs", "False False"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_garbage_collector_rests_only_while_langgraph_is_loaded(case: str) -> None:
    code, told = CASES[case]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; {TOLD}"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == told, done.stderr
