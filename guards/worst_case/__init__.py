"""What a run can take at most, told from the drawing and the policy before it starts."""
