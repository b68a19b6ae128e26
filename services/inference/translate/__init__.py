"""Between the words of inference and their wire form."""
