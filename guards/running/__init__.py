"""Drawings at work: each node and router bounded, what it returns checked, the run in the state."""
