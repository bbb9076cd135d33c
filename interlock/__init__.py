"""Floor 5: the doors. Thin: parse, call, show."""
