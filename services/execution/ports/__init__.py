"""What execution needs of the world outside."""
