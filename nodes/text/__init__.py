"""Text: pure functions over questions and findings. Rules, no model, no I/O."""
