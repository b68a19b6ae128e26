"""Between the wire and the words of the trade; what makes no sense is refused here, once."""
