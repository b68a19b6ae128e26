"""What a request means that leaves an option out."""

RISK_FREE_RATE = 0.02
RISK_AVERSION = 5.0
PERIODS_PER_YEAR = 252.0
BETA = 0.95
