"""The stories of the portfolio, one verb in each file."""
