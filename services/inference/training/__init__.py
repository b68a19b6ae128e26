"""Makes and judges models from a user's own history; a tool of the command line, never part of the running service."""
