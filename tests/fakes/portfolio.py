"""Stand-ins for what lies outside the portfolio: as ports in the process, or as servers on a real port."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ParamSpec, TypeVar

import grpc
from builders.portfolio import charge_message, fill_message

from neuraltrader.execution.v1 import execution_service_pb2 as pb
from neuraltrader.execution.v1 import execution_service_pb2_grpc as pb_grpc
from neuraltrader.market_data.v1 import market_data_pb2 as market
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_calls
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as market_grpc
from services.portfolio.adapters import solver_routes
from services.portfolio.adapters.warm_starts import WarmStarts
from services.portfolio.domain.account import AccountTerms
from services.portfolio.domain.entries import Charge, Fill
from services.portfolio.domain.estimation.history import Closes
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance
from services.portfolio.ports import ChargePage, FillPage, ValuedChange
from trading.clock import DAY_NS
from trading.errors import FailedPrecondition, TradingError, Unavailable, UnknownSymbol
from trading.instruments import CATALOGUE, Instrument, Instruments
from trading.market import Quote

Args = ParamSpec("Args")
Result = TypeVar("Result")


class FakeExecution:
    """A log of fills and some accounts; away when told so."""

    def __init__(self, fills: Sequence[Fill] = (), accounts: Sequence[AccountTerms] = ()) -> None:
        self.log = sorted(fills, key=lambda fill: fill.log_sequence)
        self.charges: list[Charge] = []
        self.terms = list(accounts)
        self.is_away = False
        self.asked_after: list[int] = []

    async def fills_after(self, log_sequence: int, limit: int, timeout_s: float) -> FillPage:
        self._answer()
        self.asked_after.append(log_sequence)
        later = [fill for fill in self.log if fill.log_sequence > log_sequence]
        return FillPage(tuple(later[:limit]), len(later) > limit)

    async def charges_after(self, sequence: int, limit: int, timeout_s: float) -> ChargePage:
        self._answer()
        later = [charge for charge in self.charges if charge.sequence > sequence]
        return ChargePage(tuple(later[:limit]), len(later) > limit)

    async def accounts(self, timeout_s: float) -> tuple[AccountTerms, ...]:
        self._answer()
        return tuple(sorted(self.terms))

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("Execution is away.")


class FakeMarketData:
    """Some quotes, sectors and daily closes."""

    def __init__(
        self,
        quotes: Sequence[Quote] = (),
        sectors: Mapping[str, str] | None = None,
        closes: Mapping[str, Closes] | None = None,
        instruments: Sequence[Instrument] = CATALOGUE,
    ) -> None:
        self.quotes = {quote.symbol: quote for quote in quotes}
        self.known_sectors = dict(sectors or {})
        self.known_closes = dict(closes or {})
        self.known_instruments = Instruments(instruments)
        self.asked_sectors = 0

    async def quote(self, symbol: str) -> Quote:
        if symbol not in self.quotes:
            raise UnknownSymbol(f"No quote of {symbol}.", symbol=symbol)
        return self.quotes[symbol]

    async def sectors(self) -> Mapping[str, str]:
        self.asked_sectors += 1
        return self.known_sectors

    async def instruments(self) -> Instruments:
        return self.known_instruments

    async def daily_closes(self, symbols: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Closes]:
        for symbol in symbols:
            if symbol not in self.known_closes:
                raise UnknownSymbol(f"{symbol} is not known.", symbol=symbol)
        return [
            {day: close for day, close in self.known_closes[symbol].items() if start_ns <= day * DAY_NS < end_ns}
            for symbol in symbols
        ]


class FakePositionEvents:
    """Keeps what was told; away when told so."""

    def __init__(self) -> None:
        self.told: list[ValuedChange] = []
        self.is_away = False

    async def tell(self, changes: Sequence[ValuedChange]) -> None:
        if self.is_away:
            raise Unavailable("The stream is away.")
        self.told += changes


class FakeSolver:
    """Gives the solution it was made with, whatever the problem."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        self.asked: list[tuple[Problem, float]] = []

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        self.asked.append((problem, timeout_s))
        return self.solution

    async def solve_all(self, problems: Sequence[Problem], timeout_s: float) -> tuple[Solution, ...]:
        return tuple([await self.solve(problem, timeout_s) for problem in problems])


class SolverHere:
    """The real routes, in this process."""

    def __init__(self) -> None:
        self.warm = WarmStarts()

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        return solver_routes.solve(problem, timeout_s, self.warm)

    async def solve_all(self, problems: Sequence[Problem], timeout_s: float) -> tuple[Solution, ...]:
        return tuple([await self.solve(problem, timeout_s) for problem in problems])


async def run_here(function: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> Result:
    """Offload that stays where it is."""
    return function(*args, **kwargs)


class ExecutionServer(pb_grpc.ExecutionServiceServicer):
    """Execution on a real gRPC port, as far as portfolio calls it."""

    def __init__(self, fills: Sequence[Fill] = (), accounts: Sequence[pb.Account] = ()) -> None:
        self.log = sorted(fills, key=lambda fill: fill.log_sequence)
        self.accounts = list(accounts)
        self.charges: list[Charge] = []

    async def ListCharges(self, request: pb.ListChargesRequest, context: Any) -> pb.ListChargesResponse:
        later = [charge for charge in self.charges if charge.sequence > request.after_sequence]
        page = later[: request.page_size]
        return pb.ListChargesResponse(
            charges=[charge_message(charge) for charge in page], has_more=len(later) > len(page)
        )

    async def ListFills(self, request: pb.ListFillsRequest, context: Any) -> pb.ListFillsResponse:
        later = [fill for fill in self.log if fill.log_sequence > request.after_log_sequence]
        page = later[: request.page_size]
        return pb.ListFillsResponse(fills=[fill_message(fill) for fill in page], has_more=len(later) > len(page))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: Any) -> pb.ListAccountsResponse:
        return pb.ListAccountsResponse(accounts=self.accounts)


class MarketDataServer(market_grpc.MarketDataServiceServicer):
    """market_data on a real gRPC port, as far as portfolio calls it."""

    def __init__(
        self,
        quotes: Sequence[market.Quote] = (),
        instruments: Sequence[market.Instrument] = (),
        bars: Sequence[market.Bar] = (),
    ) -> None:
        self.quotes = {quote.symbol: quote for quote in quotes}
        self.instruments = list(instruments)
        self.bars = list(bars)

    async def ListBars(self, request: market_calls.ListBarsRequest, context: Any) -> market_calls.ListBarsResponse:
        """Pages of at most 100 bars, so that every reader meets a cursor."""
        (symbol,) = request.symbols
        found = [
            bar
            for bar in self.bars
            if bar.symbol == symbol and request.start_time_ns <= bar.timestamp_ns < request.end_time_ns
        ]
        if not any(bar.symbol == symbol for bar in self.bars):
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        first = int(request.cursor or 0)
        rest = str(first + 100) if len(found) > first + 100 else ""
        return market_calls.ListBarsResponse(bars=found[first : first + 100], next_cursor=rest)

    async def GetQuote(self, request: market_calls.GetQuoteRequest, context: Any) -> market_calls.GetQuoteResponse:
        if request.symbol not in self.quotes:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        return market_calls.GetQuoteResponse(quote=self.quotes[request.symbol])

    async def ListInstruments(
        self, request: market_calls.ListInstrumentsRequest, context: Any
    ) -> market_calls.ListInstrumentsResponse:
        return market_calls.ListInstrumentsResponse(instruments=self.instruments)


@asynccontextmanager
async def serving(execution: ExecutionServer, market_data: MarketDataServer) -> AsyncIterator[str]:
    """Both on one port of 127.0.0.1; gives its address."""
    server = grpc.aio.server()
    pb_grpc.add_ExecutionServiceServicer_to_server(execution, server)
    market_grpc.add_MarketDataServiceServicer_to_server(market_data, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class FakeOrders:
    """Fills every order at once, each client order id once; what a symbol should answer instead, a test says."""

    def __init__(self) -> None:
        self.placed: dict[str, Order] = {}
        self.names: dict[str, str] = {}
        self.reports: dict[str, OrderReport] = {}
        self.answers: dict[str, OrderReport | TradingError] = {}
        self.submits: list[str] = []
        self.cancels: list[str] = []
        self.is_away = False

    async def submit(self, account: str, order: Order) -> OrderReport:
        self._answer()
        self.submits.append(order.symbol)
        found = self.answers.get(order.symbol)
        if isinstance(found, TradingError):
            raise found
        if order.client_order_id not in self.placed:
            self.placed[order.client_order_id] = order
            filled = OrderReport(order.client_order_id, "FILLED", abs(order.quantity_nanos), "")
            answer = found or filled
            self.names[order.client_order_id] = answer.order_id
            self.reports.setdefault(answer.order_id, answer)
        return self.reports[self.names[order.client_order_id]]

    async def look_up(self, order_id: str) -> OrderReport:
        self._answer()
        return self.reports[order_id]

    async def find(self, account: str, order: Order) -> OrderReport | None:
        self._answer()
        return self.reports[self.names[order.client_order_id]] if order.client_order_id in self.names else None

    async def cancel(self, order_id: str) -> OrderReport:
        self._answer()
        self.cancels.append(order_id)
        if self.reports[order_id].status in {"FILLED", "CANCELED"}:
            raise FailedPrecondition("It is closed.")
        self.reports[order_id] = self.reports[order_id]._replace(status="CANCELED")
        return self.reports[order_id]

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("Execution is away.")


class FakeRebalanceEvents:
    """Keeps what was told; away when told so."""

    def __init__(self) -> None:
        self.told: list[Rebalance] = []
        self.is_away = False

    async def tell(self, rebalances: Sequence[Rebalance]) -> None:
        if self.is_away:
            raise Unavailable("The stream is away.")
        self.told += rebalances
