"""The outside of the portfolio: one outside thing in each file."""
