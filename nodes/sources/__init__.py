"""Sources: where findings come from. Each kind is one file with one node; `collecting.py` is what they share."""
