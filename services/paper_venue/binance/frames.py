"""The payloads of the market streams, as JSON text."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from services.paper_venue.binance.book import Differences
from services.paper_venue.binance.data_api import DataApi
from services.paper_venue.binance.klines import INTERVALS, end_of, start_of
from services.paper_venue.binance.subscriptions import Channel, Stream
from services.paper_venue.binance.texts import TimeUnit, decimal
from services.paper_venue.binance.trades import Trade, aggregate_row
from services.paper_venue.domain.market import Batch
from services.paper_venue.domain.ticks import Kind
from trading.clock import MINUTE_NS

_QUOTE = int(Kind.QUOTE)


@dataclass(frozen=True, slots=True)
class Framer:
    """Writes what streams say; customers who want the same share the texts of a batch."""

    data: DataApi

    def of_batch(self, stream: Stream, batch: Batch, unit: TimeUnit) -> Sequence[str]:
        """What the ticks and bars of a batch make a stream say."""
        key = ("binance", stream.name, unit)
        if key not in batch.encoded:
            batch.encoded[key] = self._write(stream, batch, unit)
        found = batch.encoded[key]
        return found if isinstance(found, tuple) else ()

    def timed(self, stream: Stream, now_ns: int, unit: TimeUnit) -> str | None:
        """What a stream says at its own pace."""
        payload = self._timed(stream, now_ns, unit)
        return None if payload is None else _text(payload)

    def difference(self, stream: Stream, differences: Differences, now_ns: int, unit: TimeUnit) -> str | None:
        """A depthUpdate; None when nothing has happened."""
        found = differences.next()
        if found is None:
            return None
        first, last, changed = found
        head = {"e": "depthUpdate", "E": unit.of(now_ns), "s": stream.pair.name, "U": first, "u": last}
        return _text(head | changed)

    def _write(self, stream: Stream, batch: Batch, unit: TimeUnit) -> tuple[str, ...]:
        if stream.channel is Channel.BOOK_TICKER:
            return tuple(self._book_tickers(stream, batch))
        if stream.channel in (Channel.TRADE, Channel.AGGREGATE_TRADE):
            trades = self.data.trade_history.of_batch(stream.pair, batch.ticks)
            write = _trade if stream.channel is Channel.TRADE else _aggregate
            return tuple(_text(write(stream.pair.name, trade, unit)) for trade in trades)
        return tuple(self._closed_klines(stream, batch, unit)) if stream.channel is Channel.KLINE else ()

    def _book_tickers(self, stream: Stream, batch: Batch) -> list[str]:
        pair = stream.pair
        own = batch.ticks[batch.ticks.instrument == pair.index]
        before = self.data.books.version(pair) - (0 if batch.repeated else len(own))
        return [
            _text(
                {
                    "u": before + (0 if batch.repeated else place),
                    "s": pair.name,
                    "b": decimal(row.a),
                    "B": decimal(row.b),
                    "a": decimal(row.c),
                    "A": decimal(row.d),
                }
            )
            for place, row in enumerate(own.rows(), 1)
            if row.kind == _QUOTE
        ]

    def _closed_klines(self, stream: Stream, batch: Batch, unit: TimeUnit) -> list[str]:
        """The klines that the minute bars of a batch complete."""
        length, said = INTERVALS[stream.interval], []
        for bar in batch.minutes:
            start_ns = start_of(length, bar.timestamp_ns)
            if bar.symbol == stream.pair.symbol and bar.timestamp_ns + MINUTE_NS == end_of(length, start_ns):
                table = self.data.klines_of.find(stream.pair, length, start_ns, start_ns)
                kline = self.data.klines_of.event(stream.pair, stream.interval, table, True, unit)
                closed_ns = bar.timestamp_ns + MINUTE_NS
                said.append(_text({"e": "kline", "E": unit.of(closed_ns), "s": stream.pair.name, "k": kline}))
        return said

    def _timed(self, stream: Stream, now_ns: int, unit: TimeUnit) -> object | None:
        tickers, pair = self.data.tickers, stream.pair
        match stream.channel:
            case Channel.KLINE:
                return self._kline(stream, now_ns, unit)
            case Channel.DEPTH:
                return self.data.books.book(pair).snapshot(stream.levels)
            case Channel.MINI_TICKER:
                return tickers.mini_event(pair, now_ns, unit)
            case Channel.TICKER:
                return tickers.day_event(pair, now_ns, unit)
            case Channel.AVERAGE_PRICE:
                return tickers.average_event(pair, now_ns, unit)
            case Channel.ALL_MINI_TICKERS:
                return [tickers.mini_event(each, now_ns, unit) for each in stream.pairs]
            case _:
                return None

    def _kline(self, stream: Stream, now_ns: int, unit: TimeUnit) -> dict[str, object] | None:
        table = self.data.klines_of.latest(stream.pair, INTERVALS[stream.interval])
        if not len(table):
            return None
        kline = self.data.klines_of.event(stream.pair, stream.interval, table, False, unit)
        return {"e": "kline", "E": unit.of(now_ns), "s": stream.pair.name, "k": kline}


def _trade(name: str, trade: Trade, unit: TimeUnit) -> dict[str, object]:
    time = unit.of(trade.time_ns)
    return {
        "e": "trade", "E": time, "s": name, "t": trade.trade_id, "p": decimal(trade.price), "q": decimal(trade.size),
        "T": time, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip


def _aggregate(name: str, trade: Trade, unit: TimeUnit) -> dict[str, object]:
    return {"e": "aggTrade", "E": unit.of(trade.time_ns), "s": name} | aggregate_row(trade, unit)


def _text(payload: object) -> str:
    return msgspec.json.encode(payload).decode()
