"""Four services of the real contracts on real gRPC servers, whose answers a test sets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from builders.gateway import a_bar, a_position, a_quote, an_account, an_order
from servers import free_port

from fleet.metrics import Metrics
from fleet.rpc import Boundary, Context, GrpcServer
from neuraltrader.execution.v1 import execution_pb2
from neuraltrader.execution.v1 import execution_service_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2_grpc as execution_grpc
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as inference
from neuraltrader.inference.v1 import inference_service_pb2_grpc as inference_grpc
from neuraltrader.market_data.v1 import market_data_pb2
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as market_data_grpc
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from trading.errors import NotFound, TradingError, Unavailable, UnknownModel, UnknownOrder, UnknownSymbol

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"
NAMES = ("market_data", "inference", "execution", "portfolio")


@dataclass
class Script:
    """What the fakes were asked, and what they refuse."""

    calls: list[Any] = field(default_factory=list)
    refusals: dict[type, Exception] = field(default_factory=dict)

    def hear(self, request: Any) -> None:
        """Note a request; raise what the test has set for its kind."""
        self.calls.append(request)
        refusal = self.refusals.get(type(request))
        if refusal is not None:
            raise refusal

    def heard(self, kind: type) -> list[Any]:
        """Every request of one kind, oldest first."""
        return [call for call in self.calls if isinstance(call, kind)]


class FakeMarketData(market_data_grpc.MarketDataServiceServicer):
    """Two symbols, their quotes, and bars."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.quotes = {"AAPL": a_quote(), "BTC-USDT": a_quote("BTC-USDT", bid_nanos=0)}
        self.spellings = {"AAPL": "AAPL", "BTC-USDT": "BTC-USDT", "BTC/USD": "BTC-USDT"}
        self.bars = [a_bar()]
        self.next_cursor = ""
        self.slices = [b"first ", b"and ", b"last"]
        self.breaks_after: int | None = None

    def _canonical(self, spelling: str) -> str:
        if spelling.upper() not in self.spellings:
            raise UnknownSymbol(f"No instrument is called {spelling!r}.", symbol=spelling)
        return self.spellings[spelling.upper()]

    async def GetQuote(self, request: market_data.GetQuoteRequest, context: Context) -> market_data.GetQuoteResponse:
        self.script.hear(request)
        symbol = self._canonical(request.symbol)
        if symbol not in self.quotes:
            raise Unavailable("There is no quote yet.", symbol=symbol)
        return market_data.GetQuoteResponse(quote=self.quotes[symbol])

    async def ListBars(self, request: market_data.ListBarsRequest, context: Context) -> market_data.ListBarsResponse:
        self.script.hear(request)
        symbols = [self._canonical(symbol) for symbol in request.symbols]
        bars = [bar for bar in self.bars if bar.symbol in symbols]
        return market_data.ListBarsResponse(bars=bars, next_cursor=self.next_cursor)

    async def GetHistorical(
        self, request: market_data.GetHistoricalRequest, context: Context
    ) -> AsyncIterator[market_data.GetHistoricalResponse]:
        self.script.hear(request)
        for symbol in request.symbols:
            self._canonical(symbol)
        for at, data in enumerate(self.slices):
            if at == self.breaks_after:
                raise Unavailable("The disk is gone.")
            facts = {} if at else {"rows": 3, "truncated": True}
            yield market_data.GetHistoricalResponse(data=data, **facts)

    async def QueryHistory(
        self, request: market_data.QueryHistoryRequest, context: Context
    ) -> AsyncIterator[market_data.QueryHistoryResponse]:
        self.script.hear(request)
        for at, data in enumerate(self.slices):
            yield market_data.QueryHistoryResponse(data=data, **({} if at else {"rows": 2}))

    async def GetWindows(
        self, request: market_data.GetWindowsRequest, context: Context
    ) -> market_data.GetWindowsResponse:
        self.script.hear(request)
        symbol = self._canonical(request.symbol)
        if symbol not in self.quotes:
            return market_data.GetWindowsResponse(
                symbol=symbol, windows=[market_data.RollingWindow(name="vwap:5m", ticks=0)]
            )
        vwap = market_data.RollingWindow(name="vwap:5m", value=190.25, ticks=7, warm=True)
        return market_data.GetWindowsResponse(symbol=symbol, windows=[vwap], as_of_ns=1_760_000_000_000_000_000)

    async def ListInstruments(
        self, request: market_data.ListInstrumentsRequest, context: Context
    ) -> market_data.ListInstrumentsResponse:
        self.script.hear(request)
        apple = market_data_pb2.Instrument(
            symbol="AAPL",
            asset_class="EQUITY",
            currency="USD",
            tick_nanos=10_000_000,
            lot_nanos=1,
            tradable=True,
            trading_hours="XNYS",
            session_state=market_data_pb2.SESSION_STATE_HALTED,
            session_open_ns=1_760_000_000_000_000_000,
            session_close_ns=1_760_023_400_000_000_000,
        )
        bitcoin = market_data_pb2.Instrument(
            symbol="BTC-USDT",
            venue_symbols={"alpaca": "BTC/USD"},
            trading_hours="24/7",
            session_state=market_data_pb2.SESSION_STATE_OPEN,
        )
        return market_data.ListInstrumentsResponse(instruments=[apple, bitcoin])

    async def GetStats(self, request: market_data.GetStatsRequest, context: Context) -> market_data.GetStatsResponse:
        self.script.hear(request)
        paper = market_data.VenueStats(venue="paper", state=market_data_pb2.VENUE_STATE_UP)
        return market_data.GetStatsResponse(venues=[paper])


class FakeInference(inference_grpc.InferenceServiceServicer):
    """One model that doubles what it is told."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.model = inference_pb2.Model(
            name="momentum-v1",
            version="3",
            versions=["3", "2"],
            features=["return_1"],
            horizon_ns=500_000_000,
            calibrated=True,
            device="cpu",
            sha256="ab",
            metrics={"brier_skill": 0.25},
            load_ms=2.5,
        )

    async def ListModels(self, request: inference.ListModelsRequest, context: Context) -> inference.ListModelsResponse:
        self.script.hear(request)
        return inference.ListModelsResponse(models=[self.model])

    async def GetModel(self, request: inference.GetModelRequest, context: Context) -> inference.GetModelResponse:
        self.script.hear(request)
        if request.name != self.model.name:
            raise UnknownModel(f"No model is called {request.name!r}.", model=request.name)
        return inference.GetModelResponse(model=self.model)

    async def Predict(self, request: inference.PredictRequest, context: Context) -> inference.PredictResponse:
        self.script.hear(request)
        if request.model != self.model.name:
            raise UnknownModel(f"No model is called {request.model!r}.", model=request.model)
        rows = len(request.market_data)
        return inference.PredictResponse(
            predictions=[0.5] * rows,
            confidence=[0.75] * rows,
            calibrated=True,
            warm=[True] * rows,
            model=request.model,
            version="3",
            device="cpu",
            latency_ms=0.25,
        )


class FakeExecution(execution_grpc.ExecutionServiceServicer):
    """Takes every order; a test may hold answers back or break the stream."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.answer = execution.SubmitOrderResponse(order=an_order())
        self.orders = [an_order()]
        self.events: list[execution_pb2.OrderEvent] = []
        self.limits = execution_pb2.RiskLimits(account="main", max_order_notional_nanos=10**15, price_collar=0.1)
        self.signal_trading = execution_pb2.SignalTrading(
            notional_nanos=10**13, min_confidence=0.52, account="main", models=["momentum-v1"]
        )
        self.state = execution_pb2.TRADING_STATE_ACTIVE
        self.accounts = ["main"]
        self.is_mute = False
        self.streams = 0
        self.commands: list[execution.StreamOrdersRequest] = []
        self.break_now = asyncio.Event()

    async def SubmitOrder(
        self, request: execution.SubmitOrderRequest, context: Context
    ) -> execution.SubmitOrderResponse:
        self.script.hear(request)
        return self.answer

    async def StreamOrders(
        self, request_iterator: AsyncIterator[execution.StreamOrdersRequest], context: Context
    ) -> AsyncIterator[execution.StreamOrdersResponse]:
        self.streams += 1
        async for command in request_iterator:
            self.commands.append(command)
            if self.is_mute:
                await self.break_now.wait()
                raise Unavailable("The stream breaks.")
            yield self._respond(command)

    def _respond(self, command: execution.StreamOrdersRequest) -> execution.StreamOrdersResponse:
        try:
            if command.HasField("submit"):
                self.script.hear(command.submit)
                return execution.StreamOrdersResponse(request_id=command.request_id, submitted=self.answer)
            self.script.hear(command.cancel)
            canceled = execution.CancelOrderResponse(order=self.orders[0])
            return execution.StreamOrdersResponse(request_id=command.request_id, canceled=canceled)
        except TradingError as error:
            facts = {name: str(value) for name, value in error.metadata.items()}
            refusal = execution.StreamError(
                code=error.kind.value, reason=error.reason, message=error.message, metadata=facts
            )
            return execution.StreamOrdersResponse(request_id=command.request_id, error=refusal)

    async def CancelOrder(
        self, request: execution.CancelOrderRequest, context: Context
    ) -> execution.CancelOrderResponse:
        self.script.hear(request)
        return execution.CancelOrderResponse(order=self.orders[0])

    async def GetOrder(self, request: execution.GetOrderRequest, context: Context) -> execution.GetOrderResponse:
        self.script.hear(request)
        found = next((order for order in self.orders if order.order_id == request.order_id), None)
        if found is None:
            raise UnknownOrder(f"No order is called {request.order_id!r}.", order=request.order_id)
        return execution.GetOrderResponse(order=found)

    async def ListOrders(self, request: execution.ListOrdersRequest, context: Context) -> execution.ListOrdersResponse:
        self.script.hear(request)
        return execution.ListOrdersResponse(orders=self.orders, next_cursor="more")

    async def ListOrderEvents(
        self, request: execution.ListOrderEventsRequest, context: Context
    ) -> execution.ListOrderEventsResponse:
        self.script.hear(request)
        return execution.ListOrderEventsResponse(events=self.events)

    async def SetTradingState(
        self, request: execution.SetTradingStateRequest, context: Context
    ) -> execution.SetTradingStateResponse:
        self.script.hear(request)
        self.state = request.state
        return execution.SetTradingStateResponse(state=request.state, cancels_requested=int(request.cancel_open))

    async def GetRiskLimits(
        self, request: execution.GetRiskLimitsRequest, context: Context
    ) -> execution.GetRiskLimitsResponse:
        self.script.hear(request)
        return execution.GetRiskLimitsResponse(limits=self.limits)

    async def SetRiskLimits(
        self, request: execution.SetRiskLimitsRequest, context: Context
    ) -> execution.SetRiskLimitsResponse:
        self.script.hear(request)
        self.limits = request.limits
        return execution.SetRiskLimitsResponse(limits=request.limits)

    async def GetSignalTrading(
        self, request: execution.GetSignalTradingRequest, context: Context
    ) -> execution.GetSignalTradingResponse:
        self.script.hear(request)
        return execution.GetSignalTradingResponse(signal_trading=self.signal_trading)

    async def SetSignalTrading(
        self, request: execution.SetSignalTradingRequest, context: Context
    ) -> execution.SetSignalTradingResponse:
        self.script.hear(request)
        self.signal_trading = request.signal_trading
        return execution.SetSignalTradingResponse(signal_trading=request.signal_trading)

    async def ListAccounts(
        self, request: execution.ListAccountsRequest, context: Context
    ) -> execution.ListAccountsResponse:
        self.script.hear(request)
        return execution.ListAccountsResponse(accounts=[execution.Account(id=name) for name in self.accounts])

    async def GetStats(self, request: execution.GetStatsRequest, context: Context) -> execution.GetStatsResponse:
        self.script.hear(request)
        stats = execution.GetStatsResponse(orders_processed=7, orders_by_status={"FILLED": 7}, uptime_s=1.5)
        stats.submit_latency.p99_ns = 123
        return stats


class FakePortfolio(portfolio_grpc.PortfolioServiceServicer):
    """One account with one position, and an optimiser that likes the first asset."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.account = an_account()
        self.positions = [a_position()]

    async def ListPositions(
        self, request: portfolio.ListPositionsRequest, context: Context
    ) -> portfolio.ListPositionsResponse:
        self.script.hear(request)
        return portfolio.ListPositionsResponse(positions=self.positions, as_of_ns=5)

    async def GetAccount(self, request: portfolio.GetAccountRequest, context: Context) -> portfolio.GetAccountResponse:
        self.script.hear(request)
        if request.account != self.account.id:
            raise NotFound("There is no such account.", reason="UNKNOWN_ACCOUNT", account=request.account)
        return portfolio.GetAccountResponse(account=self.account)

    async def ListAccounts(
        self, request: portfolio.ListAccountsRequest, context: Context
    ) -> portfolio.ListAccountsResponse:
        self.script.hear(request)
        return portfolio.ListAccountsResponse(accounts=[self.account])

    async def Optimize(self, request: portfolio.OptimizeRequest, context: Context) -> portfolio.OptimizeResponse:
        self.script.hear(request)
        weights = {symbol: float(place == 0) for place, symbol in enumerate(request.symbols)}
        solver = portfolio.SolverReport(route="fake", status="optimal")
        return portfolio.OptimizeResponse(allocations=weights, risk=0.2, psd="verified", solver=solver, turnover=0.5)

    async def CalculateRisk(
        self, request: portfolio.CalculateRiskRequest, context: Context
    ) -> portfolio.CalculateRiskResponse:
        self.script.hear(request)
        periods = len(request.returns_f64le) // 8 // len(request.symbols)
        return portfolio.CalculateRiskResponse(var_95=0.02, cvar_95=0.03, beta=1.1, observations=periods)


@dataclass
class FakeFleet:
    """The four services and where they listen."""

    script: Script = field(default_factory=Script)
    addresses: dict[str, str] = field(default_factory=dict)
    servers: dict[str, GrpcServer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.market_data = FakeMarketData(self.script)
        self.inference = FakeInference(self.script)
        self.execution = FakeExecution(self.script)
        self.portfolio = FakePortfolio(self.script)

    def reset(self) -> None:
        """Forget what was asked and set; connections stand."""
        self.script.calls.clear()
        self.script.refusals.clear()
        for name in NAMES:
            servicer = getattr(self, name)
            vars(servicer).update(vars(type(servicer)(self.script)))

    def _register(self, name: str) -> Callable[[Any], None]:
        adders: dict[str, Callable[[Any, Any], None]] = {
            "market_data": market_data_grpc.add_MarketDataServiceServicer_to_server,
            "inference": inference_grpc.add_InferenceServiceServicer_to_server,
            "execution": execution_grpc.add_ExecutionServiceServicer_to_server,
            "portfolio": portfolio_grpc.add_PortfolioServiceServicer_to_server,
        }
        return lambda server: adders[name](getattr(self, name), server)

    async def start(self, name: str, token: str) -> None:
        """Let one service listen, where it listened before if it did."""
        address = self.addresses.setdefault(name, f"127.0.0.1:{free_port()}")
        server = GrpcServer(address, [self._register(name)], [], Boundary([token], Metrics()))
        await server.start()
        await server.say_ready(True)
        self.servers[name] = server

    async def stop(self, name: str) -> None:
        """Let one service vanish."""
        await self.servers.pop(name).stop(0)


@asynccontextmanager
async def fake_fleet(token: str) -> AsyncIterator[FakeFleet]:
    """All four services, gone at the end."""
    fleet = FakeFleet()
    async with AsyncExitStack() as stack:
        for name in NAMES:
            await fleet.start(name, token)
        stack.push_async_callback(_stop_all, fleet)
        yield fleet


async def _stop_all(fleet: FakeFleet) -> None:
    fleet.execution.break_now.set()
    for name in list(fleet.servers):
        await fleet.stop(name)
