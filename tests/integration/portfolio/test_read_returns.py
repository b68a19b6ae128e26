"""Daily closes over a real gRPC port."""

import pytest
from fakes.portfolio import ExecutionServer, MarketDataServer, serving

from fleet import channels
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import MarketDataServiceStub
from services.portfolio.adapters.grpc_market_data import GrpcMarketData
from services.portfolio.usecases.read_returns import ReadReturns
from trading.clock import DAY_NS, ManualClock
from trading.errors import Kind, TradingError
from trading.money import ONE

TODAY = 20_000


def bars(symbol: str, first: int) -> list[market.Bar]:
    days = range(TODAY - 250, TODAY)
    return [
        market.Bar(symbol=symbol, interval="1d", timestamp_ns=day * DAY_NS, close_nanos=(first + day % 7) * ONE)
        for day in days
    ]


async def test_a_window_is_read_page_by_page_and_an_unknown_symbol_is_named() -> None:
    market_data = MarketDataServer(bars=bars("AAPL", 100) + bars("MSFT", 300))
    async with (
        serving(ExecutionServer(), market_data) as address,
        channels.connect(address, token="", client="portfolio") as channel,
    ):
        read = ReadReturns(GrpcMarketData(MarketDataServiceStub(channel)), ManualClock(TODAY * DAY_NS + 1))
        returns = await read(["MSFT", "AAPL"], 240)
        with pytest.raises(TradingError) as unknown:
            await read(["MSFT", "NOPE"], 240)
    assert returns.shape == (240, 2)
    day = TODAY - 1
    expected = [(first + day % 7) / (first + (day - 1) % 7) - 1 for first in (300, 100)]
    assert returns[-1].tolist() == pytest.approx(expected, abs=1e-15)
    assert unknown.value.kind is Kind.NOT_FOUND
