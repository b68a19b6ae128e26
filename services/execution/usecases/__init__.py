"""The stories of execution, one verb per file."""
