"""Quotes and instruments as execution sees them, against a market_data of the real contract."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
import structlog
from builders.orders import a_quote

from fleet import channels, subjects
from fleet.blocks import encode_quotes
from fleet.metrics import Metrics
from fleet.rpc import Boundary
from neuraltrader.market_data.v1 import market_data_pb2 as md
from neuraltrader.market_data.v1 import market_data_service_pb2 as rpc
from neuraltrader.market_data.v1.market_data_service_pb2_grpc import (
    MarketDataServiceServicer,
    MarketDataServiceStub,
    add_MarketDataServiceServicer_to_server,
)
from services.execution.adapters.market_data_catalogue import MarketDataCatalogue
from services.execution.adapters.quote_board import QuoteBoard
from trading.clock import ManualClock
from trading.errors import InvalidArgument, PermissionDenied, TradingError, Unavailable, UnknownSymbol
from trading.market import QuoteBlock
from trading.money import ONE

AAPL = md.Instrument(
    symbol="AAPL",
    asset_class="EQUITY",
    currency="USD",
    tick_nanos=10_000_000,
    lot_nanos=1,
    min_quantity_nanos=1,
    max_quantity_nanos=ONE,
    tradable=True,
    shortable=True,
    venue_symbols={"polygon": "X:AAPL"},
)


class MarketDataOf(MarketDataServiceServicer):
    """Answers what the test has put there; an error is raised."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: TradingError | None = None
        self.stale = False
        self.receive_time_ns = 0

    async def GetQuote(self, request: rpc.GetQuoteRequest, context: Any) -> rpc.GetQuoteResponse:
        self._note("GetQuote")
        quote = a_quote()._replace(receive_time_ns=self.receive_time_ns)._asdict()
        return rpc.GetQuoteResponse(quote=md.Quote(**quote, stale=self.stale))

    async def GetInstrument(self, request: rpc.GetInstrumentRequest, context: Any) -> rpc.GetInstrumentResponse:
        self._note("GetInstrument")
        return rpc.GetInstrumentResponse(instrument=AAPL)

    async def ListInstruments(self, request: rpc.ListInstrumentsRequest, context: Any) -> rpc.ListInstrumentsResponse:
        self._note("ListInstruments")
        return rpc.ListInstrumentsResponse(instruments=[AAPL])

    def _note(self, method: str) -> None:
        self.asked.append(method)
        if self.error is not None:
            raise self.error


@asynccontextmanager
async def a_market_data() -> AsyncIterator[tuple[MarketDataOf, MarketDataServiceStub]]:
    servicer = MarketDataOf()
    server = grpc.aio.server(interceptors=(Boundary((), Metrics()),))
    add_MarketDataServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with channels.connect(f"127.0.0.1:{port}", token=None, client="test") as channel:
        yield servicer, MarketDataServiceStub(channel)
    await server.stop(0)


def a_block(*asks: int) -> bytes:
    """A block of quotes whose bids are a unit below their asks."""
    column = np.array(asks, np.int64) * ONE
    times = np.arange(len(asks), dtype=np.int64)
    return encode_quotes(QuoteBlock("paper", "BRK.B", times, times, column - ONE, column, column, column), 0, "feed")


BRK = subjects.quote("paper", "BRK.B")


def a_board(market_data: Any = None) -> tuple[QuoteBoard, ManualClock]:
    clock = ManualClock(1_000)
    return QuoteBoard(market_data, clock, 1.0), clock


def test_the_newest_quote_of_the_newest_block_counts() -> None:
    """Its age counts from when we heard it."""
    board, clock = a_board()
    board.offer(BRK, a_block(100, 101))
    board.offer(BRK, a_block(102, 103))
    clock.advance(50)
    seen = board.latest("BRK.B")
    assert seen is not None
    assert (seen.quote.ask_nanos, seen.age_ns) == (103 * ONE, 50)
    clock.advance(50)
    again = board.latest("BRK.B")
    assert again is not None
    assert (again.quote, again.age_ns) == (seen.quote, 100)


def test_a_symbol_nobody_quoted_has_no_quote() -> None:
    """None."""
    assert a_board()[0].latest("BRK.B") is None


def test_a_block_that_cannot_be_read_leaves_what_was_known() -> None:
    """And its age."""
    board, _ = a_board()
    board.offer(BRK, b"\xff")
    assert board.latest("BRK.B") is None
    board.offer(BRK, a_block(100))
    assert board.latest("BRK.B") is not None
    board.offer(BRK, b"\xff")
    seen = board.latest("BRK.B")
    assert seen is not None
    assert seen.quote.ask_nanos == 100 * ONE


async def test_market_data_is_asked_for_a_quote() -> None:
    """What it says is remembered and is young."""
    async with a_market_data() as (_, stub):
        board, clock = a_board(stub)
        seen = await board.ask("AAPL")
        assert seen is not None
        assert (seen.quote.ask_nanos, seen.age_ns) == (101 * ONE, 0)
        clock.advance(7)
        known = board.latest("AAPL")
        assert known is not None
        assert known.age_ns == 7


async def test_a_stale_answer_is_as_old_as_it_says() -> None:
    """By the time at which market_data read it."""
    async with a_market_data() as (servicer, stub):
        board, _ = a_board(stub)
        servicer.stale, servicer.receive_time_ns = True, 400
        seen = await board.ask("AAPL")
        assert seen is not None
        assert seen.age_ns == 600


async def test_a_market_data_that_cannot_say_is_no_quote() -> None:
    """Whatever the reason."""
    async with a_market_data() as (servicer, stub):
        servicer.error = Unavailable("no quote yet")
        assert await a_board(stub)[0].ask("AAPL") is None


def a_catalogue(stub: MarketDataServiceStub) -> MarketDataCatalogue:
    return MarketDataCatalogue(stub, structlog.get_logger(), 1.0)


async def test_an_instrument_is_asked_for_once() -> None:
    """And found by any spelling afterwards."""
    async with a_market_data() as (servicer, stub):
        catalogue = a_catalogue(stub)
        found = await catalogue.get("AAPL")
        assert (found.symbol, found.max_quantity_nanos, found.shortable) == ("AAPL", ONE, True)
        assert await catalogue.get("x:aapl") == found
        assert servicer.asked == ["GetInstrument"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (UnknownSymbol("no"), UnknownSymbol),
        (Unavailable("down"), Unavailable),
        (PermissionDenied("no"), TradingError),
    ],
)
async def test_an_instrument_nobody_can_name_is_an_error(error: TradingError, raised: type[TradingError]) -> None:
    """Unknown, or unknowable now."""
    async with a_market_data() as (servicer, stub):
        servicer.error = error
        with pytest.raises(raised):
            await a_catalogue(stub).get("AAPL")


async def test_what_can_be_no_symbol_is_not_asked_for() -> None:
    """It is the caller's error."""
    async with a_market_data() as (servicer, stub):
        with pytest.raises(InvalidArgument):
            await a_catalogue(stub).get("")
        assert servicer.asked == []


async def test_what_is_known_stays_known_while_market_data_is_away() -> None:
    """Orders go on."""
    async with a_market_data() as (servicer, stub):
        catalogue = a_catalogue(stub)
        await catalogue.load()
        servicer.error = Unavailable("down")
        assert (await catalogue.get("AAPL")).symbol == "AAPL"
