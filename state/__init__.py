"""Floor 1: what crosses an edge. Typed, serializable records, their reducers and the run's context."""
