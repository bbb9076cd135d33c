"""Floor 3: agents, and the only floor that touches the outside world. Nothing is re-exported: names would clash."""
