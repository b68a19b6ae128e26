"""What the book, the optimiser and the risk engine know: pure, exact where it is money."""
