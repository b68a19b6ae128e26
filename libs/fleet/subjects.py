"""The one place where NATS subjects are spelt."""

import re
from functools import lru_cache
from urllib.parse import unquote

ORDER_STREAM = "EXECUTION"
POSITION_STREAM = "PORTFOLIO"
ORDERS_ALL = "execution.v1.order.>"
FILLS_ALL = "execution.v1.order.fill.*"
CHARGES_ALL = "execution.v1.charge.>"
POSITIONS_ALL = "portfolio.v1.position.changed.*"
REBALANCES_ALL = "portfolio.v1.rebalance.>"
PORTFOLIO_ALL = "portfolio.v1.>"
QUOTES_ALL = "market_data.v1.quote.>"
TRADES_ALL = "market_data.v1.trade.>"
BARS_ALL = "market_data.v1.bar.>"
GAPS_ALL = "market_data.v1.gap.>"
VENUE_STATUS_ALL = "market_data.v1.venue.>"
PREDICTIONS_ALL = "inference.v1.prediction.>"
SIGNALS_ALL = "inference.v1.signal.>"
TRAINING_ALL = "inference.v1.training.>"
DEAD_LETTERS = "dead_letter"

TOKENS_KEPT = 65_536
_UNSAFE = re.compile(r"[%.*>\s\x00-\x20\x7f]")  # what has a meaning in a subject, or ends it


@lru_cache(TOKENS_KEPT)
def escape(token: str) -> str:
    """Make any text one token of a subject, by percent signs; `unescape` gives it back."""
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), token)


def unescape(token: str) -> str:
    """The text behind an escaped token."""
    return unquote(token)


def quote(venue: str, symbol: str) -> str:
    """Quote blocks of one symbol; core NATS."""
    return f"market_data.v1.quote.{escape(venue)}.{escape(symbol)}"


def trade(venue: str, symbol: str) -> str:
    """Trade blocks of one symbol; core NATS."""
    return f"market_data.v1.trade.{escape(venue)}.{escape(symbol)}"


def bar(interval: str, venue: str, symbol: str) -> str:
    """Closed bars of one symbol, and their revisions; core NATS. `interval` is 1m, 5m, 1h, 1d or such as tick-1000."""
    return f"market_data.v1.bar.{escape(interval)}.{escape(venue)}.{escape(symbol)}"


def gap(venue: str, symbol: str) -> str:
    """Ranges of lost ticks of one symbol; core NATS."""
    return f"market_data.v1.gap.{escape(venue)}.{escape(symbol)}"


def venue_status(state: str, venue: str) -> str:
    """Changes of a venue's feed; core NATS. `state` is up, down, stale or failed."""
    return f"market_data.v1.venue.{state}.{escape(venue)}"


def prediction(model: str, symbol: str) -> str:
    """Predictions of one model for one symbol; core NATS."""
    return f"inference.v1.prediction.{escape(model)}.{escape(symbol)}"


def signal(model: str, symbol: str) -> str:
    """Signals of one model for one symbol; core NATS."""
    return f"inference.v1.signal.{escape(model)}.{escape(symbol)}"


def training(job: str) -> str:
    """How far one training job is; core NATS."""
    return f"inference.v1.training.{escape(job)}"


def order_event(kind: str, account: str) -> str:
    """Events of an account's orders; JetStream."""
    return f"execution.v1.order.{kind.lower()}.{escape(account)}"


def charge(kind: str, account: str) -> str:
    """What the venue charged an account beside its fills; JetStream, in the stream of the orders."""
    return f"execution.v1.charge.{kind.lower()}.{escape(account)}"


def rebalance(event: str, account: str) -> str:
    """Changes of an account's rebalances; JetStream. `event` is proposed, executing, done, failed or canceled."""
    return f"portfolio.v1.rebalance.{event.lower()}.{escape(account)}"


def position_changed(account: str) -> str:
    """Changes of an account's positions; JetStream."""
    return f"portfolio.v1.position.changed.{escape(account)}"
