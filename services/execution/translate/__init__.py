"""Between the words of the trade and the protobuf messages of execution."""
