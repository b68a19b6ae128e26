"""The market in Alpaca's frames: arrays of small objects, as JSON text or msgpack, built column by column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec
import numpy as np

from services.paper_venue.alpaca.times import rfc3339, timestamps
from services.paper_venue.domain.ticks import Int64, Kind, Ticks
from trading.instruments import AssetClass
from trading.market import Bar

_QUOTE, _TRADE = int(Kind.QUOTE), int(Kind.TRADE)
_EXCHANGE = "V"
_TAPE = "C"
_QUOTE_CONDITIONS = ("R",)
_TRADE_CONDITIONS = ("@",)
_TAKER_SIDE = {1: "B", -1: "S", 0: ""}


class StockQuote(msgspec.Struct, rename={"as_": "as"}):
    T: str
    S: str
    bx: str
    bp: float
    bs: float
    ax: str
    ap: float
    as_: float
    c: Sequence[str]
    z: str
    t: Any


class CryptoQuote(msgspec.Struct, rename={"as_": "as"}):
    T: str
    S: str
    bp: float
    bs: float
    ap: float
    as_: float
    t: Any


class StockTrade(msgspec.Struct):
    T: str
    S: str
    i: int
    x: str
    p: float
    s: float
    c: Sequence[str]
    z: str
    t: Any


class CryptoTrade(msgspec.Struct):
    T: str
    S: str
    i: int
    p: float
    s: float
    tks: str
    t: Any


class BarFrame(msgspec.Struct):
    T: str
    S: str
    o: float
    h: float
    l: float  # noqa: E741 - Alpaca's own name
    c: float
    v: float
    n: int
    vw: float
    t: Any


class Codec(Enum):
    """How a connection's messages are written; chosen by the Content-Type of its upgrade request."""

    JSON = "json"
    MSGPACK = "msgpack"

    @property
    def encode(self) -> Callable[[Any], str | bytes]:
        return _encode_text if self is Codec.JSON else msgspec.msgpack.encode

    @property
    def decode(self) -> Callable[[bytes], Any]:
        return msgspec.json.decode if self is Codec.JSON else msgspec.msgpack.decode

    @property
    def times(self) -> Callable[[Int64], Sequence[Any]]:
        return _texts if self is Codec.JSON else timestamps


def _encode_text(message: Any) -> str:
    return msgspec.json.encode(message).decode()


def _texts(times_ns: Int64) -> list[str]:
    """Times as text; neighbours often share one, so each is written once."""
    written, last_ns, text = [], -1, ""
    for time_ns in times_ns.tolist():
        if time_ns != last_ns:
            last_ns, text = time_ns, rfc3339(time_ns)
        written.append(text)
    return written


@dataclass(frozen=True, slots=True)
class Framer:
    """Turns ticks of one asset class into messages; `spellings` by instrument index, `named` by canonical symbol."""

    asset_class: AssetClass
    spellings: Sequence[str]
    named: Mapping[str, str]

    def messages(self, ticks: Ticks, codec: Codec) -> list[Any]:
        """One message per quote and trade, in their order; BAR rows are left out (they come as bars)."""
        quotes, trades = ticks.kind == _QUOTE, ticks.kind == _TRADE
        if quotes.all():
            return self._quotes(ticks, codec)
        made: list[Any] = [None] * len(ticks)
        for wanted, build in ((quotes, self._quotes), (trades, self._trades)):
            rows = np.flatnonzero(wanted)
            for at, message in zip(rows.tolist(), build(ticks[rows], codec), strict=True):
                made[at] = message
        return [message for message in made if message is not None]

    def bars(self, kind: str, bars: Iterable[Bar], codec: Codec) -> list[BarFrame]:
        """Bars as messages of type `b`, `u` or `d`."""
        return [self._bar(kind, bar, codec) for bar in bars]

    def _quotes(self, ticks: Ticks, codec: Codec) -> list[Any]:
        columns = zip(
            self._names(ticks),
            _prices(ticks.a),
            _sizes(ticks.b),
            _prices(ticks.c),
            _sizes(ticks.d),
            codec.times(ticks.time_ns),
            strict=True,
        )
        if self.asset_class is AssetClass.CRYPTO:
            return [CryptoQuote("q", name, bp, bs, ap, as_, t) for name, bp, bs, ap, as_, t in columns]
        return [
            StockQuote("q", name, _EXCHANGE, bp, bs, _EXCHANGE, ap, as_, _QUOTE_CONDITIONS, _TAPE, t)
            for name, bp, bs, ap, as_, t in columns
        ]

    def _trades(self, ticks: Ticks, codec: Codec) -> list[Any]:
        names, prices, sizes = self._names(ticks), _prices(ticks.a), _sizes(ticks.b)
        times, ids, sides = codec.times(ticks.time_ns), ticks.d.tolist(), ticks.c.tolist()
        columns = zip(names, ids, prices, sizes, sides, times, strict=True)
        if self.asset_class is AssetClass.CRYPTO:
            return [CryptoTrade("t", name, i, p, s, _TAKER_SIDE[side], t) for name, i, p, s, side, t in columns]
        return [
            StockTrade("t", name, i, _EXCHANGE, p, s, _TRADE_CONDITIONS, _TAPE, t) for name, i, p, s, _, t in columns
        ]

    def _names(self, ticks: Ticks) -> list[str]:
        spellings = self.spellings
        return [spellings[index] for index in ticks.instrument.tolist()]

    def _bar(self, kind: str, bar: Bar, codec: Codec) -> BarFrame:
        open_, high, low, close = (price / 1e9 for price in bar[3:7])
        (start,) = codec.times(np.array([bar.timestamp_ns], np.int64))
        vwap = bar.vwap_nanos / 1e9
        return BarFrame(kind, self.named[bar.symbol], open_, high, low, close, bar.volume, bar.trade_count, vwap, start)


def _prices(nanos: Int64) -> list[float]:
    return list((nanos / 1e9).tolist())


def _sizes(nanos: Int64) -> list[float] | list[int]:
    """Sizes as numbers, whole ones without a decimal point."""
    whole, part = np.divmod(nanos, 1_000_000_000)
    return _prices(nanos) if part.any() else list(whole.tolist())
