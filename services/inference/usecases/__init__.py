"""What inference does, one verb per file."""
