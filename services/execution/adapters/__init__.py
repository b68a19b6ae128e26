"""Execution's outside world, one thing per file."""
