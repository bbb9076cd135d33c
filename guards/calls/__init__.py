"""What every model and tool call passes: gates, in one order, entered before it and left after it."""
