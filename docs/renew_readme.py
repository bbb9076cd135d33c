"""Renew the places of the README that commands make: the drawing of `research` and the table of faults.

python docs/renew_readme.py            both (the faults take about a minute)
python docs/renew_readme.py drawing    one of them
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def drawing() -> str:
    """The research graph as Mermaid, drawn by LangGraph."""
    from graphs.research import graph

    return f"```mermaid\n{graph.get_graph().draw_mermaid().strip()}\n```"


def faults() -> str:
    """The table that `python -m bench.faults` prints."""
    done = subprocess.run([sys.executable, "-m", "bench.faults"], cwd=ROOT, capture_output=True, text=True, check=True)
    return "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))


def put(text: str, name: str, content: str) -> str:
    """The text with new content between the marks `<!-- name:begin -->` and `<!-- name:end -->`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    between = re.compile(f"{begin}.*?{end}", re.DOTALL)
    return between.sub(lambda _: f"{begin}\n{content}\n{end}", text, count=1)


def main(names: list[str]) -> None:
    """Renew the named places, all of them without a name."""
    makers = {"drawing": drawing, "faults": faults}
    text = README.read_text(encoding="utf-8")
    for name in names or makers:
        text = put(text, name, makers[name]())
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main(sys.argv[1:])
