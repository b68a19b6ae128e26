"""The lines of every symbol of a venue."""

from collections.abc import Iterable

from services.market_data.domain.numbered_line import NumberedLine
from services.market_data.domain.trade_line import LineRules, Mark, NamedLine, Passed, TradeLine
from trading.market import TradeBlock


class TradeLines:
    """Finds the line of a symbol; `numbered` says that the venue's trade ids count up by one for each symbol."""

    def __init__(self, venue: str, rules: LineRules, *, numbered: bool = False) -> None:
        self._venue, self._rules = venue, rules
        self._kind: type[TradeLine] = NumberedLine if numbered else NamedLine
        self._lines: dict[str, TradeLine] = {}
        self._open: dict[str, None] = {}

    def begin(self, symbols: Iterable[str], time_ns: int) -> None:
        """A connection carries these symbols from venue time `time_ns` on."""
        for symbol in symbols:
            self._line(symbol).begin(time_ns)

    def hold(self, symbols: Iterable[str], reason: str) -> None:
        """The connection that carried these symbols is gone."""
        for symbol in symbols:
            self._line(symbol).hold(reason)
            self._note(symbol)

    def take(self, block: TradeBlock) -> Passed:
        """Live trades came; those that may go on."""
        passed = self._line(block.symbol).take(block)
        self._note(block.symbol)
        return passed

    def open_among(self, symbols: Iterable[str]) -> list[str]:
        """Those of the symbols that wait for missing trades."""
        return [symbol for symbol in symbols if symbol in self._open] if self._open else []

    @property
    def any_open(self) -> bool:
        """Some symbol waits for missing trades."""
        return bool(self._open)

    def mark(self, symbol: str) -> Mark:
        """Where a symbol stands."""
        return self._line(symbol).mark

    def has_live(self, symbol: str) -> bool:
        """The newest connection has brought trades of a symbol that wait."""
        return self._line(symbol).has_live

    def is_full(self, symbol: str) -> bool:
        """More is held back than there is room for."""
        return self._line(symbol).is_full

    def fill(self, symbol: str, remembered: TradeBlock | None) -> Passed:
        """What the venue remembers since the mark of a symbol."""
        passed = self._line(symbol).fill(remembered)
        self._note(symbol)
        return passed

    def give_up(self, symbol: str) -> Passed:
        """The hole of a symbol stays."""
        passed = self._line(symbol).give_up()
        self._note(symbol)
        return passed

    def _note(self, symbol: str) -> None:
        if self._lines[symbol].is_open:
            self._open[symbol] = None
        else:
            self._open.pop(symbol, None)

    def _line(self, symbol: str) -> TradeLine:
        if (line := self._lines.get(symbol)) is None:
            line = self._lines[symbol] = self._kind(self._venue, symbol, self._rules)
        return line
