"""One use of every command, for its --help; a test reads each with the command's own parser."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, str]] = {
    "order": "order buy AAPL 10 --price 189.50 --tif gtc --client-order-id mine-1",
    "orders": "orders --status ACCEPTED,PARTIALLY_FILLED --symbol AAPL",
    "cancel": "cancel --all --symbol BTC-USDT",
    "modify": "modify ORDER_ID --price 189.60",
    "events": "events ORDER_ID --json",
    "account": "account --account main",
    "positions": "positions --all",
    "performance": "performance --start 2026-01-01 --out curve.csv",
    "transfer": "transfer 25000 --currency USD --id deposit-7",
    "import-positions": "import-positions held.csv --id from-the-old-broker",
    "halt": "halt --cancel-open --reason 'bad feed'",
    "resume": "resume --reducing",
    "limits": "limits set max_position=500 duplicate_window_ns=500ms price_collar=none",
    "signals": "signals on --models momentum-v1 --notional 5000 --min-confidence 0.6",
    "statement": "statement --day 2026-01-30 --out day.csv",
    "compare": "compare --out venue.csv",
    "audit": "audit --subject risk_limits --limit 10",
    "risk": "risk AAPL=0.6 TSLA=0.4 --benchmark SPY",
    "simulate": "simulate --method student-t --horizon 10 --seed 7",
    "stress": "stress AAPL=100 --market -0.2",
    "optimize": "optimize AAPL TSLA NVDA --max 0.5 --objective min-cvar",
    "models": "models promote momentum-v1 2",
    "jobs": "jobs list --model momentum-v1 --state running",
    "predict": "predict AAPL --model momentum-v1",
    "drift": "drift --model momentum-v1",
    "rebalance": "rebalance propose AAPL=0.6 MSFT=0.4 --drift-band 0.02",
}
