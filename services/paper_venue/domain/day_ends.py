"""Ends the trading day where and when it ends: DAY orders expire, and where the market closes then, its quotes go."""

from services.paper_venue.domain.exchange import Exchange
from services.paper_venue.domain.sessions import SessionRule, Sessions
from trading.instruments import ALWAYS_OPEN, AssetClass
from trading.order import TimeInForce


class DayEnds:
    """Follows a market's clock (ns UTC) from `start_ns` on; each exchange's hours have a close of their own."""

    def __init__(self, exchange: Exchange, sessions: Sessions, start_ns: int) -> None:
        self._exchange = exchange
        self._sessions = sessions
        hours = {instrument.trading_hours for instrument in exchange.instruments}
        self._due = {each: sessions.day_ends_ns(start_ns, each) for each in sorted(hours)}

    @property
    def next_ns(self) -> int:
        """When the next day ends, of any exchange."""
        return min(self._due.values())

    def pass_to(self, market_ns: int, now_ns: int) -> None:
        """The market's clock stands at `market_ns`: end every day that is over; orders expire at `now_ns`."""
        for hours, due_ns in self._due.items():
            if due_ns <= market_ns:
                self._exchange.expire(TimeInForce.DAY, now_ns, hours)
                if self._sessions.rule is SessionRule.NYSE and hours != ALWAYS_OPEN:
                    self._exchange.clear_quotes(AssetClass.EQUITY)
                self._due[hours] = self._sessions.day_ends_ns(market_ns, hours)
