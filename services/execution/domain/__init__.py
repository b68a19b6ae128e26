"""What an order is and may become: pure Python, the same answer for the same input."""
