"""The record: who decided what, in a chain that shows every cut, change and gap. Never what was said, only its hash."""
