"""The stories of market_data, one verb per file."""
