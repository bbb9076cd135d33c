"""AgentDojo: every attack of the benchmark, made by an agent that obeys it, against the taint gate (bar S1)."""
