"""The bars of several venues as one source: each symbol's come from the venue that answers for it."""

from collections.abc import Mapping, Sequence

from services.market_data.domain.coverage import Coverage
from services.market_data.ports import HistorySource
from trading.instruments import Instrument
from trading.market import Bar, Interval


class OwnedHistory:
    """Asks the owner of each symbol; see `ports.HistorySource`."""

    def __init__(self, coverage: Coverage, sources: Mapping[str, HistorySource]) -> None:
        self._coverage, self._sources = coverage, sources

    async def bars(
        self, instruments: Sequence[Instrument], interval: Interval, start_ns: int, end_ns: int, limit: int
    ) -> dict[str, list[Bar]]:
        """Bars by canonical symbol, oldest first; none of a symbol that no venue carries."""
        by_owner: dict[str, list[Instrument]] = {}
        for instrument in instruments:
            if (owner := self._coverage.owner(instrument.symbol)) is not None:
                by_owner.setdefault(owner, []).append(instrument)
        found: dict[str, list[Bar]] = {}
        for owner, owned in by_owner.items():
            found |= await self._sources[owner].bars(owned, interval, start_ns, end_ns, limit)
        return found
