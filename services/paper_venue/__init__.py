"""The local exchange: replays or simulates markets, matches orders, speaks venues' own protocols."""
