"""What ends code that does not end by itself, and finds what it left alive."""
