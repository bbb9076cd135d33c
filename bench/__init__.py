"""The measurements: `python -m bench` prints one table and records it in `bench/RESULTS.md`. One file a measure."""
