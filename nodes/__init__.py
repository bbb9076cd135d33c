"""Floor 3: agents, and the only floor that touches the outside world. Re-exports nothing: nodes share their module's name."""
