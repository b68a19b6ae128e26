"""Between the wire and the words of the trade."""
