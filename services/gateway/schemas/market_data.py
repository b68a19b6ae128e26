"""Shapes of instruments, quotes and bars."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.market_data.v1 import market_data_pb2 as pb
from services.gateway.schemas.scalars import DecimalText, Nanoseconds, Request, number_or_none
from trading.money import format_nanos, to_float

Interval = Literal["1m", "5m", "1h", "1d"]


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


class Bar(TypedDict):
    """One time bar."""

    timestamp_ns: Annotated[Nanoseconds, Field(description="Start of the bar.")]
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float
    trade_count: int


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
    }


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
    }


def bar_page(bars: Iterable[pb.Bar], next_cursor: str) -> BarPage:
    """A page of bars as JSON, by symbol."""
    by_symbol: dict[str, list[Bar]] = {}
    for bar in bars:
        by_symbol.setdefault(bar.symbol, []).append(bar_view(bar))
    return {"bars": by_symbol, "next_cursor": next_cursor or None}
