"""The shapes of the public contract, and how they are made of the fleet's messages."""
