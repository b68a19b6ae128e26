"""What the exchange reads from outside."""
