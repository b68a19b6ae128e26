"""Shapes of risk: measured, simulated and under shocks."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from typing_extensions import TypedDict

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from neuraltrader.portfolio.v1 import risk_service_pb2 as risk_rpc
from services.gateway.schemas.portfolio import (
    MOST_SYMBOLS,
    Matrix,
    Positive,
    Symbols,
    WindowDays,
    exactly_one_source,
    matrix,
    packed,
    vector,
)
from services.gateway.schemas.scalars import Finite, NameText, Request, SymbolText
from trading.errors import InvalidArgument

MOST_SCENARIOS = 100
_PERCENTILES = ("1", "5", "25", "50", "75", "95", "99")
AccountOfRisk = Annotated[NameText, Field(description="Its positions at their market value, instead of symbols.")]
Values = Annotated[list[Finite], Field(min_length=1, max_length=MOST_SYMBOLS, description="Signed values in money.")]
DayText = Annotated[str, Field(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Shocks = dict[str, Finite]


class RiskRequest(Request):
    """A risk question over N symbols, or over an account's positions."""

    account: AccountOfRisk | None = None
    symbols: Symbols | None = None
    positions: Annotated[list[Finite], Field(min_length=1, max_length=MOST_SYMBOLS)] | None = None
    position_kind: Literal["weights", "notional"] = "weights"
    returns: Matrix | None = Field(None, description="T×N simple returns per period.")
    window_days: WindowDays | None = None
    market_returns: list[Finite] | None = None
    benchmark: SymbolText | None = Field(None, description="Symbol that stands for the market; SPY by default.")
    risk_free_rate: Finite = 0.02
    periods_per_year: Positive = 252

    def message(self) -> rpc.CalculateRiskRequest:
        """The question as the fleet's message.

        Raises InvalidArgument when positions or returns come from nowhere or twice, or have a wrong shape.
        """
        question = rpc.CalculateRiskRequest(
            account=self.account or "",
            position_kind=rpc.PositionKind.Value(f"POSITION_KIND_{self.position_kind.upper()}"),
            benchmark=self.benchmark or "",
            risk_free_rate=self.risk_free_rate,
            periods_per_year=self.periods_per_year,
        )
        if self.window_days is not None:
            question.window.days = self.window_days
        if self.market_returns is not None:
            question.market_returns_f64le = packed(np.array(self.market_returns, np.float64))
        if self.account is None:
            self._add_positions(question)
        elif self.symbols or self.positions or self.returns:
            raise InvalidArgument("Expected an account or symbols, not both.", field="account")
        return question

    def _add_positions(self, question: rpc.CalculateRiskRequest) -> None:
        symbols = required(self.symbols)
        exactly_one_source(self)
        question.symbols.extend(symbols)
        question.positions.extend(vector(self.positions or [], len(symbols), "positions"))
        if self.returns is not None:
            returns = matrix(self.returns, len(symbols), "returns")
            question.returns_f64le = packed(returns)
            vector(self.market_returns or [0.0] * len(returns), len(returns), "market_returns")


def required(symbols: list[str] | None) -> list[str]:
    """Symbols that must be there when no account is named; raises InvalidArgument."""
    if symbols is None:
        raise InvalidArgument("Expected symbols, or an account.", field="symbols")
    return symbols


class Risk(TypedDict):
    """The risk of positions; VaR and CVaR are positive losses per period."""

    var_95: Annotated[float, Field(description="Money when positions are notional.")]
    cvar_95: float
    var_95_gaussian: float
    cvar_95_gaussian: float
    beta: float | None
    sharpe_ratio: float | None
    sortino_ratio: float | None
    max_drawdown: float
    volatility: float
    annual_return: float
    tracking_error: float | None
    correlation: float | None
    observations: int
    gross_exposure: float
    net_exposure: float
    input_sha256: str


def risk_view(answer: rpc.CalculateRiskResponse) -> Risk:
    """Risk as JSON; what could not be measured is null."""
    present = {field.name: value for field, value in answer.ListFields() if field.has_presence}
    return {
        "var_95": answer.var_95,
        "cvar_95": answer.cvar_95,
        "var_95_gaussian": answer.var_95_gaussian,
        "cvar_95_gaussian": answer.cvar_95_gaussian,
        "beta": present.get("beta"),
        "sharpe_ratio": present.get("sharpe_ratio"),
        "sortino_ratio": present.get("sortino_ratio"),
        "max_drawdown": answer.max_drawdown,
        "volatility": answer.volatility,
        "annual_return": answer.annual_return,
        "tracking_error": present.get("tracking_error"),
        "correlation": present.get("correlation"),
        "observations": answer.observations,
        "gross_exposure": answer.gross_exposure,
        "net_exposure": answer.net_exposure,
        "input_sha256": answer.input_sha256,
    }


class SimulationRequest(Request):
    """Asks for simulated losses of an account's positions, `main` by default, or of given ones."""

    account: AccountOfRisk | None = None
    symbols: Symbols | None = None
    values: Values | None = None
    window_days: WindowDays | None = None
    returns: Matrix | None = Field(None, description="T×N simple returns of given symbols, instead of the window.")
    method: Literal["historical_bootstrap", "gaussian", "student_t"] = "historical_bootstrap"
    horizon_days: Annotated[int, Field(ge=1, le=252)] = 1
    paths: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    degrees_of_freedom: Annotated[Finite, Field(gt=2, description="Of student_t.")] = 5
    block_days: Annotated[Finite, Field(ge=1, description="Mean length of a block of the bootstrap.")] = 5

    def message(self) -> risk_rpc.SimulateLossesRequest:
        """The question as the fleet's message; raises InvalidArgument for wrong shapes."""
        symbols, values = positions_of(self.symbols, self.values)
        returns = b"" if self.returns is None else packed(matrix(self.returns, len(symbols), "returns"))
        return risk_rpc.SimulateLossesRequest(
            account=self.account or "",
            symbols=symbols,
            values=values,
            window_days=self.window_days or 0,
            returns_f64le=returns,
            method=risk_rpc.SimulationMethod.Value(f"SIMULATION_METHOD_{self.method.upper()}"),
            horizon_days=self.horizon_days,
            paths=self.paths,
            seed=self.seed,
            degrees_of_freedom=self.degrees_of_freedom,
            block_days=self.block_days,
        )


def positions_of(symbols: list[str] | None, values: list[float] | None) -> tuple[list[str], list[float]]:
    """Given positions, one value each; raises InvalidArgument SHAPE_MISMATCH."""
    given = symbols or []
    return given, vector(values or [], len(given), "values")


class Simulation(TypedDict):
    """Profit and loss at the horizon, in money; values at risk are positive losses."""

    value: float
    var_95: float
    cvar_95: float
    var_99: float
    cvar_99: float
    mean: float
    deviation: float
    var_95_error: Annotated[float, Field(description="Standard error that the number of paths leaves.")]
    loss_probability: float
    percentiles: Annotated[dict[str, float], Field(description="Profit at 1, 5, 25, 50, 75, 95 and 99 percent.")]
    symbols: list[str]
    observations: int
    input_sha256: str


def simulation_view(answer: risk_rpc.SimulateLossesResponse) -> Simulation:
    """Simulated losses as JSON."""
    return {
        "value": answer.value,
        "var_95": answer.var_95,
        "cvar_95": answer.cvar_95,
        "var_99": answer.var_99,
        "cvar_99": answer.cvar_99,
        "mean": answer.mean,
        "deviation": answer.deviation,
        "var_95_error": answer.var_95_error,
        "loss_probability": answer.loss_probability,
        "percentiles": dict(zip(_PERCENTILES, answer.percentiles, strict=True)),
        "symbols": list(answer.symbols),
        "observations": answer.observations,
        "input_sha256": answer.input_sha256,
    }


class StressScenario(Request):
    """A named shock: relative changes, or a stretch of history that happens again."""

    name: NameText
    symbol_shocks: Shocks = Field({}, description="Relative change of single symbols, such as -0.2.")
    sector_shocks: Shocks = Field({}, description="Of every symbol of a sector that is not named above.")
    market_shock: Finite | None = Field(None, description="Of the benchmark; other symbols follow by their beta.")
    history_start: DayText | None = None
    history_end: DayText | None = None

    def message(self) -> risk_rpc.StressScenario:
        """The scenario as the fleet's message."""
        return risk_rpc.StressScenario(
            name=self.name,
            symbol_shocks=self.symbol_shocks,
            sector_shocks=self.sector_shocks,
            market_shock=self.market_shock,
            history_start=self.history_start or "",
            history_end=self.history_end or "",
        )


class StressRequest(Request):
    """Asks what shocks would do to an account's positions, `main` by default, or to given ones."""

    account: AccountOfRisk | None = None
    symbols: Symbols | None = None
    values: Values | None = None
    scenarios: Annotated[list[StressScenario], Field(max_length=MOST_SCENARIOS)] = Field(
        [], description="The built-in ones by default."
    )
    window_days: WindowDays | None = None
    benchmark: SymbolText | None = None

    def message(self) -> risk_rpc.StressTestRequest:
        """The question as the fleet's message; raises InvalidArgument for wrong shapes."""
        symbols, values = positions_of(self.symbols, self.values)
        return risk_rpc.StressTestRequest(
            account=self.account or "",
            symbols=symbols,
            values=values,
            scenarios=[scenario.message() for scenario in self.scenarios],
            window_days=self.window_days or 0,
            benchmark=self.benchmark or "",
        )


class StressOutcome(TypedDict):
    """What one shock would do, in money."""

    name: str
    profit: float
    fraction: Annotated[float, Field(description="Of the gross value.")]
    by_symbol: dict[str, float]
    error: Annotated[str | None, Field(description="Why it could not be computed, such as missing history.")]


class Stress(TypedDict):
    """Outcomes in the order of the scenarios."""

    outcomes: list[StressOutcome]
    gross_value: float
    net_value: float


def stress_view(answer: risk_rpc.StressTestResponse) -> Stress:
    """Outcomes as JSON."""
    outcomes: list[StressOutcome] = [
        {
            "name": outcome.name,
            "profit": outcome.profit,
            "fraction": outcome.fraction,
            "by_symbol": dict(outcome.by_symbol),
            "error": outcome.error or None,
        }
        for outcome in answer.outcomes
    ]
    return {"outcomes": outcomes, "gross_value": answer.gross_value, "net_value": answer.net_value}
