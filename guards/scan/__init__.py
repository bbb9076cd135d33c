"""Scanners: what a text carries. A verdict is a signal with its reasons; what happens then is policy."""
