"""Doors: who may call the server, what they see, and what they may set. Graphs know nothing of it."""
