"""What makes a drawing unsafe to run, one rule beside the other, each with its cure."""
