"""The whole fleet as local processes: one command up, one command down, nothing left running."""
