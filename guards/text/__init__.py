"""Texts of a state: found, checked and rebuilt."""
