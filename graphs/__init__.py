"""Floor 4: workflows, wiring only. One file is one workflow: `POLICY`, `build`, `graph`."""
