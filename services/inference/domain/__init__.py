"""Features, probabilities and signals as plain computation."""
