"""The newest price of every symbol that was quoted."""

from collections.abc import Iterator, Mapping

from trading.market import Quote


class Marks(Mapping[str, int]):
    """Mid prices in nanos by symbol; a quote that was received earlier never replaces a later one."""

    def __init__(self) -> None:
        self._prices: dict[str, int] = {}
        self._times: dict[str, int] = {}

    def __getitem__(self, symbol: str) -> int:
        return self._prices[symbol]

    def __iter__(self) -> Iterator[str]:
        return iter(self._prices)

    def __len__(self) -> int:
        return len(self._prices)

    def see(self, quote: Quote) -> None:
        """Take in a quote; one without any price is ignored."""
        price = quote.mid_nanos
        if price > 0 and quote.receive_time_ns >= self._times.get(quote.symbol, 0):
            self._prices[quote.symbol] = price
            self._times[quote.symbol] = quote.receive_time_ns
