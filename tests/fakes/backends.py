"""Four services of the real contracts on real gRPC servers, whose answers a test sets."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from builders.gateway import a_bar, a_position, a_quote, an_account
from fakes.book_backend import FakeBook
from fakes.execution_backend import FakeExecution
from fakes.open_inference import FakeOpenInference
from fakes.rebalance_backend import FakeRebalances
from fakes.registry_backend import FakeRegistry
from fakes.risk_backend import FakeRisk
from fakes.script import Script
from fakes.training_backend import FakeTraining
from servers import free_port

from fleet.metrics import Metrics
from fleet.rpc import Boundary, Context, GrpcServer
from neuraltrader.execution.v1 import execution_service_pb2_grpc as execution_grpc
from neuraltrader.inference.v1 import inference_pb2
from neuraltrader.inference.v1 import inference_service_pb2 as inference
from neuraltrader.inference.v1 import inference_service_pb2_grpc as inference_grpc
from neuraltrader.inference.v1 import registry_service_pb2_grpc as registry_grpc
from neuraltrader.inference.v1 import training_service_pb2_grpc as training_grpc
from neuraltrader.market_data.v1 import market_data_pb2
from neuraltrader.market_data.v1 import market_data_service_pb2 as market_data
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as market_data_grpc
from neuraltrader.portfolio.v1 import book_service_pb2_grpc as book_grpc
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as portfolio
from neuraltrader.portfolio.v1 import portfolio_service_pb2_grpc as portfolio_grpc
from neuraltrader.portfolio.v1 import rebalance_service_pb2_grpc as rebalance_grpc
from neuraltrader.portfolio.v1 import risk_service_pb2_grpc as risk_grpc
from trading.errors import InvalidArgument, NotFound, Unavailable, UnknownModel, UnknownSymbol

# The generated bases allow more kinds of context than a server gives.
# mypy: disable-error-code="override"
NAMES = ("market_data", "inference", "execution", "portfolio")


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
        if request.columns.ask and request.columns.ask[-1] < request.columns.bid[-1]:
            place = f"ask[{len(request.columns.ask) - 1}]"
            raise InvalidArgument(f"Expected an ask that is not below the bid in {place}.", field=place)
        rows = 1 if request.arrow_ipc else len(request.columns.price)
        return inference.PredictResponse(
            predictions=[0.5] * rows,
            confidence=[0.75] * rows,
            calibrated=True,
            warm=[True] * rows,
            model=request.model,
            version=request.version or "3",
            device="cpu",
            latency_ms=0.25,
        )

    async def GetDrift(self, request: inference.GetDriftRequest, context: Context) -> inference.GetDriftResponse:
        self.script.hear(request)
        if request.model != self.model.name:
            raise UnknownModel(f"No model is called {request.model!r}.", model=request.model)
        features = [inference_pb2.FeatureDrift(feature="spread", psi=0.5, mean=2.0, trained_mean=1.0)]
        return inference.GetDriftResponse(
            drift=inference_pb2.Drift(
                model=request.model, version="3", rows=7, features=features, outcomes=2, hit_rate=0.5
            )
        )


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

    async def ComputeFrontier(
        self, request: portfolio.ComputeFrontierRequest, context: Context
    ) -> AsyncIterator[portfolio.ComputeFrontierResponse]:
        self.script.hear(request)
        for index in range(request.points):
            point = portfolio.OptimizeResponse(risk=0.1 + index / 100, expected_return=0.05 + index / 50)
            yield portfolio.ComputeFrontierResponse(point=point, index=index)

    async def CalculateRisk(
        self, request: portfolio.CalculateRiskRequest, context: Context
    ) -> portfolio.CalculateRiskResponse:
        self.script.hear(request)
        periods = len(request.returns_f64le) // 8 // (len(request.symbols) or 1)
        return portfolio.CalculateRiskResponse(
            var_95=0.02, cvar_95=0.03, beta=1.1, observations=periods or request.window.days, gross_exposure=2.0
        )


@dataclass
class FakeFleet:
    """The four services and where they listen."""

    script: Script = field(default_factory=Script)
    addresses: dict[str, str] = field(default_factory=dict)
    servers: dict[str, GrpcServer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.market_data = FakeMarketData(self.script)
        self.inference = FakeInference(self.script)
        self.training = FakeTraining(self.script)
        self.open_inference = FakeOpenInference()
        self.execution = FakeExecution(self.script)
        self.portfolio = FakePortfolio(self.script)
        self.risk = FakeRisk(self.script)
        self.book = FakeBook(self.script)
        self.registry = FakeRegistry(self.script)
        self.rebalances = FakeRebalances(self.script)

    def reset(self) -> None:
        """Forget what was asked and set; connections stand."""
        self.script.calls.clear()
        self.script.refusals.clear()
        self.open_inference.model.asked.clear()
        for name in (*NAMES, "book", "training", "registry"):
            servicer = getattr(self, name)
            vars(servicer).update(vars(type(servicer)(self.script)))

    def _register(self, name: str) -> Callable[[Any], None]:
        adders: dict[str, Callable[[Any, Any], None]] = {
            "market_data": market_data_grpc.add_MarketDataServiceServicer_to_server,
            "inference": inference_grpc.add_InferenceServiceServicer_to_server,
            "execution": execution_grpc.add_ExecutionServiceServicer_to_server,
            "portfolio": portfolio_grpc.add_PortfolioServiceServicer_to_server,
        }
        return lambda server: self._add(adders[name], name, server)

    def _add(self, adder: Callable[[Any, Any], None], name: str, server: Any) -> None:
        adder(getattr(self, name), server)
        if name == "portfolio":
            risk_grpc.add_RiskServiceServicer_to_server(self.risk, server)
            rebalance_grpc.add_RebalanceServiceServicer_to_server(self.rebalances, server)
            book_grpc.add_BookServiceServicer_to_server(self.book, server)
        if name == "inference":
            training_grpc.add_TrainingServiceServicer_to_server(self.training, server)
            registry_grpc.add_RegistryServiceServicer_to_server(self.registry, server)

    async def start(self, name: str, token: str) -> None:
        """Let one service listen, where it listened before if it did."""
        address = self.addresses.setdefault(name, f"127.0.0.1:{free_port()}")
        beside = []
        if name == "inference":
            await self.open_inference.start()
            beside.append(self.open_inference.servicer().register)
        server = GrpcServer(address, [self._register(name), *beside], [], Boundary([token], Metrics()))
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
