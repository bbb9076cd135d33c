"""Worker: the process that trials run in. It reads one spec a line and answers with one verdict a line."""

import json
import logging
import sys
from dataclasses import asdict

from interlock.chaotic.trial import Spec, try_out
from interlock.targets import one_graph


def main(target: str) -> None:
    """Try out what is asked, until there is nothing more."""
    out, sys.stdout = sys.stdout, sys.stderr  # what a graph prints is no answer
    logging.disable()
    with one_graph(target) as one:
        print("ready", file=out, flush=True)
        for line in sys.stdin:
            print(json.dumps(asdict(try_out(one.graph, Spec(**json.loads(line))))), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
