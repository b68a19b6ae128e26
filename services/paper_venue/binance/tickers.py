"""Tickers: the last price, the best prices, and the last 24 hours of a pair."""

from services.paper_venue.binance.book import Books
from services.paper_venue.binance.klines import INTERVALS, Day, Klines
from services.paper_venue.binance.listing import Pair
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_float
from services.paper_venue.binance.trades import TradeHistory
from trading.clock import MINUTE_NS
from trading.money import divide_half_even

_MEAN_MINUTES = 5


class Tickers:
    """Computes tickers from the market as it stands."""

    def __init__(self, books: Books, klines: Klines, trades: TradeHistory) -> None:
        self._books = books
        self._klines = klines
        self._trades = trades

    def last_price(self, pair: Pair) -> int:
        """The price of the last trade, else of the last bar; nanos."""
        newest = self._trades.newest(pair)
        if newest is not None:
            return newest.price
        bars = self._klines.find(pair, INTERVALS["1d"])
        return int(bars.close[-1]) if len(bars) else 0

    def price(self, pair: Pair) -> dict[str, object]:
        """`ticker/price`."""
        return {"symbol": pair.name, "price": decimal(self.last_price(pair))}

    def book(self, pair: Pair) -> dict[str, object]:
        """`ticker/bookTicker`."""
        touch = self._books.market.exchange.touch(pair.symbol)
        return {
            "symbol": pair.name,
            "bidPrice": decimal(touch.bid),
            "bidQty": decimal(touch.bid_size),
            "askPrice": decimal(touch.ask),
            "askQty": decimal(touch.ask_size),
        }

    def mean(self, pair: Pair, now_ns: int) -> tuple[int, int]:
        """The volume-weighted price of the last five minutes (nanos), and the time of the last trade (ns)."""
        newest = self._trades.newest(pair)
        until_ns = newest.time_ns if newest else now_ns
        table = self._klines.find(pair, INTERVALS["1m"], until_ns - _MEAN_MINUTES * MINUTE_NS)
        volume = float(table.volume.sum())
        price = round(float((table.vwap * table.volume).sum()) / volume) if volume else self.last_price(pair)
        return price, until_ns

    def average(self, pair: Pair, now_ns: int, unit: TimeUnit) -> dict[str, object]:
        """`avgPrice`."""
        price, time_ns = self.mean(pair, now_ns)
        return {"mins": _MEAN_MINUTES, "price": decimal(price), "closeTime": unit.of(time_ns)}

    def day(self, pair: Pair, now_ns: int, unit: TimeUnit, mini: bool) -> dict[str, object]:
        """`ticker/24hr`, or its short form."""
        day = self._day(pair, now_ns)
        short = {
            "symbol": pair.name,
            "openPrice": decimal(day.open),
            "highPrice": decimal(day.high),
            "lowPrice": decimal(day.low),
            "lastPrice": decimal(day.close),
            "volume": decimal_of_float(day.volume),
            "quoteVolume": decimal_of_float(day.quote_volume),
            "openTime": unit.of(day.open_ns),
            "closeTime": unit.of(day.close_ns),
            "firstId": day.first_id,
            "lastId": day.last_id,
            "count": day.count,
        }
        return short if mini else short | self._changes(pair, day) | self._touch(pair)

    def mini_event(self, pair: Pair, now_ns: int, unit: TimeUnit) -> dict[str, object]:
        """`<symbol>@miniTicker`."""
        day = self._day(pair, now_ns)
        return {
            "e": "24hrMiniTicker", "E": unit.of(now_ns), "s": pair.name, "c": decimal(day.close),
            "o": decimal(day.open), "h": decimal(day.high), "l": decimal(day.low),
            "v": decimal_of_float(day.volume), "q": decimal_of_float(day.quote_volume),
        }  # fmt: skip

    def day_event(self, pair: Pair, now_ns: int, unit: TimeUnit) -> dict[str, object]:
        """`<symbol>@ticker`."""
        day = self._day(pair, now_ns)
        changes, touch = self._changes(pair, day), self._touch(pair)
        return {
            "e": "24hrTicker", "E": unit.of(now_ns), "s": pair.name, "p": changes["priceChange"],
            "P": changes["priceChangePercent"], "w": changes["weightedAvgPrice"], "x": changes["prevClosePrice"],
            "c": decimal(day.close), "Q": changes["lastQty"], "b": touch["bidPrice"], "B": touch["bidQty"],
            "a": touch["askPrice"], "A": touch["askQty"], "o": decimal(day.open), "h": decimal(day.high),
            "l": decimal(day.low), "v": decimal_of_float(day.volume), "q": decimal_of_float(day.quote_volume),
            "O": unit.of(day.open_ns), "C": unit.of(day.close_ns), "F": day.first_id, "L": day.last_id,
            "n": day.count,
        }  # fmt: skip

    def average_event(self, pair: Pair, now_ns: int, unit: TimeUnit) -> dict[str, object]:
        """`<symbol>@avgPrice`."""
        price, time_ns = self.mean(pair, now_ns)
        return {
            "e": "avgPrice", "E": unit.of(now_ns), "s": pair.name, "i": f"{_MEAN_MINUTES}m", "w": decimal(price),
            "T": unit.of(time_ns),
        }  # fmt: skip

    def _day(self, pair: Pair, now_ns: int) -> Day:
        """The day before the newest trade: a recording has a time of its own."""
        newest = self._trades.newest(pair)
        now_ns = newest.time_ns if newest else now_ns
        price = self.last_price(pair)
        empty = Day(price, price, price, price, 0.0, 0.0, 0, -1, -1, now_ns, now_ns)
        return self._klines.day(pair, now_ns) or empty

    def _changes(self, pair: Pair, day: Day) -> dict[str, object]:
        newest = self._trades.newest(pair)
        change = day.close - day.open
        percent = divide_half_even(change * 100_000, day.open) / 1_000 if day.open else 0.0
        return {
            "priceChange": decimal(change),
            "priceChangePercent": f"{percent:.3f}",
            "weightedAvgPrice": decimal(day.mean),
            "prevClosePrice": decimal(day.open),
            "lastQty": decimal(newest.size if newest else 0),
        }

    def _touch(self, pair: Pair) -> dict[str, object]:
        return {name: value for name, value in self.book(pair).items() if name != "symbol"}
