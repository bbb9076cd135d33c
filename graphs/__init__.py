"""Floor 4: workflows, wiring only. One file is one workflow: `POLICY`, `build`, `graph`.

Where nobody has loaded LangGraph yet, it is loaded here with the garbage collector at rest. What an import makes stays
for good: looking through it again and again takes a tenth of a process's start, and a pause at every full collection.
"""

import gc
import sys
from importlib import import_module

if gc.isenabled() and "langgraph.graph" not in sys.modules:
    gc.disable()
    try:
        import_module("langgraph.graph")
    finally:
        gc.freeze()
        gc.enable()
