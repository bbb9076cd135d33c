"""What `interlock chaos` does to a graph, and how it looks whether the graph survived."""
