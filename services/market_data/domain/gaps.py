"""Holes in a symbol's ticks: from the last tick before a loss to the first one after it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A range of venue time, in ns UTC, in which ticks of a symbol may be missing."""

    venue: str
    symbol: str
    from_time_ns: int
    to_time_ns: int
    reason: str


class GapWatch:
    """Remembers each symbol's newest tick and finds the hole that a reconnect has left."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._newest_ns: dict[str, int] = {}
        self._losses: dict[str, str] = {}

    def lost(self, symbols: frozenset[str], reason: str) -> None:
        """The connection that carried `symbols` is gone; the first reason stands until ticks come again."""
        for symbol in symbols & self._newest_ns.keys():
            self._losses.setdefault(symbol, reason)

    def knows(self, symbol: str) -> bool:
        """The symbol has had ticks in this run."""
        return symbol in self._newest_ns

    def is_whole(self, symbol: str) -> bool:
        """The symbol has had ticks in this run, and none since the last were lost."""
        return symbol in self._newest_ns and symbol not in self._losses

    def passed(self, symbol: str, last_ns: int) -> None:
        """Ticks of a kind came that has no holes here: trades, which are asked for again."""
        self._newest_ns[symbol] = max(self._newest_ns.get(symbol, last_ns), last_ns)

    def saw(self, symbol: str, first_ns: int, last_ns: int) -> Gap | None:
        """Ticks of a symbol came; the hole before them, if there is one."""
        newest_ns = self._newest_ns.get(symbol, first_ns)
        self._newest_ns[symbol] = max(newest_ns, last_ns)
        reason = self._losses.pop(symbol, None)
        return None if reason is None else Gap(self._venue, symbol, newest_ns, max(first_ns, newest_ns), reason)
