"""The words of the trade: plain Python that every service speaks, with no I/O and no wire types."""
