"""Shapes of instruments, quotes and bars."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.market_data.v1 import market_data_pb2 as pb
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from services.gateway.schemas.scalars import DecimalText, Nanoseconds, Request, number_or_none
from trading.money import format_nanos, to_float

Interval = Literal["1m", "5m", "1h", "1d"]
ActivityInterval = Annotated[str, Field(pattern="^(tick|volume|value)-[1-9][0-9]{0,11}$")]
SessionState = Literal["UNKNOWN", "OPEN", "CLOSED", "HALTED", "LIMIT_UP", "LIMIT_DOWN"]


_SESSION_STATES: dict[int, SessionState] = {
    pb.SESSION_STATE_UNSPECIFIED: "UNKNOWN",
    pb.SESSION_STATE_OPEN: "OPEN",
    pb.SESSION_STATE_CLOSED: "CLOSED",
    pb.SESSION_STATE_HALTED: "HALTED",
    pb.SESSION_STATE_LIMIT_UP: "LIMIT_UP",
    pb.SESSION_STATE_LIMIT_DOWN: "LIMIT_DOWN",
}


class Instrument(TypedDict):
    """One tradable thing."""

    symbol: str
    asset_class: str
    currency: str
    tick_size: DecimalText
    lot_size: DecimalText
    min_quantity: DecimalText
    max_quantity: DecimalText
    sector: str
    name: str
    tradable: bool
    shortable: bool
    venue_symbols: dict[str, str]
    trading_hours: Annotated[str, Field(description="The exchange's market identifier code, or 24/7.")]
    session_state: SessionState
    session_open_ns: Annotated[
        Nanoseconds | None, Field(description="Start of the session that is on or comes next; null when there is none.")
    ]
    session_close_ns: Nanoseconds | None


class InstrumentList(TypedDict):
    """Every instrument, by symbol."""

    instruments: list[Instrument]


class Quote(TypedDict):
    """The best bid and ask of one symbol."""

    symbol: str
    bid: float | None
    bid_size: float | None
    ask: float | None
    ask_size: float | None
    last_price: Annotated[float | None, Field(description="Price of the newest trade.")]
    last_size: float | None
    venue: str
    timestamp_ns: Annotated[Nanoseconds, Field(description="The venue's time.")]
    receive_time_ns: Annotated[Nanoseconds, Field(description="When market_data read it.")]
    stale: bool


class Window(TypedDict):
    """One rolling window as of the newest tick."""

    name: Annotated[str, Field(description="What it measures and over what: vwap:5m, ema:1m, volatility:500.")]
    value: Annotated[float | None, Field(description="Null while there are not enough ticks.")]
    ticks: int
    warm: Annotated[bool, Field(description="It has seen as much time, or as many ticks, as it reaches over.")]


class Windows(TypedDict):
    """The rolling windows of one symbol."""

    symbol: str
    windows: list[Window]
    as_of_ns: Annotated[Nanoseconds | None, Field(description="Time of the newest tick; null before the first.")]
    from_quotes: Annotated[bool, Field(description="Made of mid quotes, because the symbol has not traded yet.")]


class Bar(TypedDict):
    """One bar."""

    timestamp_ns: Annotated[Nanoseconds, Field(description="Start of the bar.")]
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int
    revision: Annotated[int, Field(description="How often it was published before it was corrected.")]


class BarPage(TypedDict):
    """Bars by symbol, oldest first."""

    bars: dict[str, list[Bar]]
    next_cursor: str | None


class QueryRequest(Request):
    """A question in SQL."""

    sql: Annotated[str, Field(min_length=1, max_length=16_384)]
    limit: Annotated[int, Field(ge=1, le=100_000)] = 10_000


class QueryAnswer(TypedDict):
    """The rows, as columns; 64-bit whole numbers are strings, what is no number is null."""

    columns: dict[str, list[Any]]
    rows: int
    truncated: bool


def instrument_view(instrument: pb.Instrument) -> Instrument:
    """An instrument as JSON."""
    return {
        "symbol": instrument.symbol,
        "asset_class": instrument.asset_class,
        "currency": instrument.currency,
        "tick_size": format_nanos(instrument.tick_nanos),
        "lot_size": format_nanos(instrument.lot_nanos),
        "min_quantity": format_nanos(instrument.min_quantity_nanos),
        "max_quantity": format_nanos(instrument.max_quantity_nanos),
        "sector": instrument.sector,
        "name": instrument.name,
        "tradable": instrument.tradable,
        "shortable": instrument.shortable,
        "venue_symbols": dict(instrument.venue_symbols),
        "trading_hours": instrument.trading_hours,
        "session_state": _SESSION_STATES[instrument.session_state],
        "session_open_ns": _moment(instrument.session_open_ns),
        "session_close_ns": _moment(instrument.session_close_ns),
    }


def windows_view(found: rpc.GetWindowsResponse) -> Windows:
    """Rolling windows as JSON."""
    return {
        "symbol": found.symbol,
        "windows": [
            {
                "name": one.name,
                "value": one.value if one.HasField("value") else None,
                "ticks": one.ticks,
                "warm": one.warm,
            }
            for one in found.windows
        ],
        "as_of_ns": _moment(found.as_of_ns),
        "from_quotes": found.from_quotes,
    }


def _moment(time_ns: int) -> str | None:
    return str(time_ns) if time_ns else None


def quote_view(quote: pb.Quote) -> Quote:
    """A quote as JSON; a side that is empty is null."""
    return {
        "symbol": quote.symbol,
        "bid": number_or_none(quote.bid_nanos),
        "bid_size": to_float(quote.bid_size_nanos) if quote.bid_nanos else None,
        "ask": number_or_none(quote.ask_nanos),
        "ask_size": to_float(quote.ask_size_nanos) if quote.ask_nanos else None,
        "last_price": to_float(quote.last_trade_price_nanos) if quote.HasField("last_trade_price_nanos") else None,
        "last_size": to_float(quote.last_trade_size_nanos) if quote.HasField("last_trade_size_nanos") else None,
        "venue": quote.venue,
        "timestamp_ns": str(quote.event_time_ns),
        "receive_time_ns": str(quote.receive_time_ns),
        "stale": quote.stale,
    }


def bar_view(bar: pb.Bar) -> Bar:
    """A bar as JSON."""
    return {
        "timestamp_ns": str(bar.timestamp_ns),
        "open": to_float(bar.open_nanos),
        "high": to_float(bar.high_nanos),
        "low": to_float(bar.low_nanos),
        "close": to_float(bar.close_nanos),
        "volume": bar.volume,
        "vwap": to_float(bar.vwap_nanos),
        "trade_count": bar.trade_count,
        "revision": bar.revision,
    }


def bar_page(bars: Iterable[pb.Bar], next_cursor: str) -> BarPage:
    """A page of bars as JSON, by symbol."""
    by_symbol: dict[str, list[Bar]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar_view(bar))
    return {"bars": by_symbol, "next_cursor": next_cursor or None}
