"""The instruments as market_data knows them, remembered and refreshed."""

import asyncio
from typing import Any

from neuraltrader.market_data.v1 import market_data_pb2 as md
from neuraltrader.market_data.v1 import market_data_service_pb2 as md_rpc
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from trading.errors import Kind, TradingError, Unavailable, UnknownSymbol
from trading.instruments import AssetClass, Instrument, Instruments, parse_symbol


class MarketDataCatalogue:
    """Known symbols are answered from memory; unknown ones are asked for every time."""

    def __init__(self, market_data: MarketDataServiceStub, log: Any, timeout_s: float) -> None:
        self._market_data = market_data
        self._log = log
        self._timeout_s = timeout_s
        self._instruments = Instruments()
        self._sessions: dict[str, str] = {}

    async def get(self, spelling: str) -> Instrument:
        """An instrument by any spelling; raises InvalidArgument, UnknownSymbol, Unavailable."""
        if parse_symbol(spelling) in self._instruments:
            return self._instruments.get(spelling)
        request = md_rpc.GetInstrumentRequest(symbol=spelling)
        try:
            answer = await self._market_data.GetInstrument(request, timeout=self._timeout_s)
        except TradingError as error:
            raise _refusal(spelling, error) from error
        return self._learn(answer.instrument)

    def session(self, symbol: str) -> str:
        """As of the last refresh."""
        return self._sessions.get(symbol, "")

    async def load(self) -> None:
        """Take in every instrument that market_data knows; raises TradingError."""
        answer = await self._market_data.ListInstruments(md_rpc.ListInstrumentsRequest(), timeout=self._timeout_s)
        for message in answer.instruments:
            self._learn(message)

    async def refresh_forever(self, every_s: float) -> None:
        """Keep the instruments current; while market_data is away, what is known stands."""
        while True:
            try:
                await self.load()
            except TradingError as error:
                self._log.info("catalogue.later", error=error.message)
            await asyncio.sleep(every_s if len(self._instruments) else _FIRST_WAIT_S)

    def _learn(self, message: md.Instrument) -> Instrument:
        instrument = _instrument(message)
        self._instruments.add(instrument)
        self._sessions[instrument.symbol] = _SESSIONS.get(message.session_state, "")
        return instrument


_FIRST_WAIT_S = 1.0
_SESSIONS = {
    value: name.removeprefix("SESSION_STATE_") for name, value in md.SessionState.items() if value
}  # the unspecified one says nothing


def _refusal(spelling: str, error: TradingError) -> TradingError:
    if error.kind is Kind.NOT_FOUND:
        return UnknownSymbol(f"No instrument is called {spelling!r}.", symbol=spelling)
    if error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED):
        return Unavailable("market_data cannot say what this symbol is.", symbol=spelling, retry_after_s=1)
    return error


def _instrument(message: md.Instrument) -> Instrument:
    return Instrument(
        symbol=message.symbol,
        asset_class=AssetClass(message.asset_class),
        currency=message.currency,
        tick_nanos=message.tick_nanos,
        lot_nanos=message.lot_nanos,
        min_quantity_nanos=message.min_quantity_nanos,
        max_quantity_nanos=message.max_quantity_nanos,
        sector=message.sector,
        name=message.name,
        tradable=message.tradable,
        shortable=message.shortable,
        venue_symbols=dict(message.venue_symbols),
    )
