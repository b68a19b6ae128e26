"""Portfolio: the exact book of what was traded, the optimiser, and the risk of positions."""
