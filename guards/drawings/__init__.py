"""Drawings read without running them: nodes, ways, sources of functions, types of the state."""
