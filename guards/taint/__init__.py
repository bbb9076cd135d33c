"""Taint: what came from outside does not act. It holds by construction, also with a model that obeys an attacker."""
