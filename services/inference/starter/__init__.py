"""Makes the starter model from simulated market data; a tool for developers, never part of the running service."""
