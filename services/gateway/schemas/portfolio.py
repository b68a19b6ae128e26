"""Shapes of the optimiser, and of the numbers that it shares with risk."""

from typing import Annotated, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from neuraltrader.portfolio.v1 import portfolio_service_pb2 as rpc
from services.gateway.schemas.scalars import Finite, Request, SymbolText
from trading.errors import InvalidArgument

MOST_SYMBOLS = 5000
MOST_DAYS = 2520
MOST_VIEWS = 500
Objective = Literal[
    "min_variance", "max_sharpe", "max_utility", "target_return", "target_risk", "min_cvar", "risk_parity", "hrp"
]
Matrix = list[list[Finite]]
Float64Matrix = npt.NDArray[np.float64]
Symbols = Annotated[list[SymbolText], Field(min_length=1, max_length=MOST_SYMBOLS)]
WindowDays = Annotated[int, Field(ge=2, le=MOST_DAYS, description="Newest daily returns of the fleet's own history.")]
NotNegative = Annotated[Finite, Field(ge=0)]
Positive = Annotated[Finite, Field(gt=0)]
_FLOAT64 = np.dtype("<f8")
_SOURCES = ("covariance", "exposures", "returns", "window_days")


class Given(NamedTuple):
    """A matrix that came beside the JSON: row-major little-endian float64, a column per symbol."""

    name: Literal["covariance", "returns"]
    rows: int
    f64le: bytes


class Constraints(Request):
    """Bounds that every answer keeps."""

    max_position_size: NotNegative | None = Field(None, description="Largest weight of one asset; 1 by default.")
    min_position_size: NotNegative | None = Field(None, description="Smallest weight of one asset.")
    min_position_kind: Literal["semicontinuous", "hard"] = "semicontinuous"
    sectors: dict[str, str] = Field({}, description="Sector by symbol; missing ones come from the instruments.")
    sector_caps: dict[str, Finite] = Field({})
    turnover_limit: NotNegative | None = Field(None, description="Σ|w − w₀|, two-way.")
    allow_cash: bool = False
    lower_bounds: dict[str, Finite] = Field({}, description="Least weight of single symbols; below 0 is short.")
    upper_bounds: dict[str, Finite] = Field({}, description="Largest weight of single symbols.")

    def message(self) -> rpc.Constraints:
        """The bounds as the fleet's message."""
        kind = rpc.MinPositionKind.Value(f"MIN_POSITION_KIND_{self.min_position_kind.upper()}")
        return rpc.Constraints(**self.model_dump(exclude={"min_position_kind"}), min_position_kind=kind)


class View(Request):
    """An opinion: Σ weight · return = value, give or take."""

    weights: dict[str, Finite] = Field(min_length=1, description="Weight of each symbol in the combination.")
    value: Finite = Field(description="Expected return of the combination, of the period of `expected_returns`.")
    confidence: Annotated[Finite, Field(gt=0, lt=1)]


class OptimizeRequest(Request):
    """An optimisation problem over N symbols."""

    symbols: Symbols
    expected_returns: list[Finite] | None = None
    covariance: Matrix | None = Field(None, description="N×N, of the same period as `expected_returns`.")
    returns: Matrix | None = Field(None, description="T×N simple returns per period.")
    window_days: WindowDays | None = None
    exposures: Matrix | None = Field(None, description="N×K factor exposures B: Σ = B·F·Bᵀ + diag(D).")
    factor_covariance: Matrix | None = Field(None, description="K×K covariance F of the factors.")
    residual_variances: list[Finite] | None = Field(None, description="N residual variances D.")
    covariance_estimator: Literal["sample", "ledoit_wolf", "ewma"] = "sample"
    ewma_half_life: Positive = 63
    views: list[View] = Field([], max_length=MOST_VIEWS, description="Opinions (Black–Litterman).")
    market_weights: dict[str, NotNegative] = Field({}, description="Market that implies the prior; equal by default.")
    objective: Objective = "max_sharpe"
    risk_free_rate: Finite = 0.02
    risk_aversion: Positive = 5.0
    target_return: Finite | None = None
    target_risk: NotNegative | None = Field(None, description="Largest standard deviation, for `target_risk`.")
    beta: Annotated[Finite, Field(gt=0, lt=1)] = 0.95
    periods_per_year: Positive = 252
    constraints: Constraints | None = None
    turnover_cost: NotNegative | None = Field(None, description="Cost of Σ|w − w₀|, taken from the return.")
    current_positions: dict[str, Finite] | None = Field(None, description="w₀ by symbol.")
    risk_budgets: dict[str, Positive] = Field({}, description="Part of the risk by symbol, of `risk_parity`; any unit.")

    def message(self, beside: Given | None = None) -> rpc.OptimizeRequest:
        """The problem as the fleet's message, with the matrix that came beside it.

        Raises InvalidArgument when the inputs are not exactly one of the four, or of wrong shape.
        """
        exactly_one_source(self, beside.name if beside else "")
        count = len(self.symbols)
        request = rpc.OptimizeRequest(
            symbols=self.symbols,
            objective=rpc.Objective.Value(f"OBJECTIVE_{self.objective.upper()}"),
            risk_free_rate=self.risk_free_rate,
            risk_aversion=self.risk_aversion,
            target_return=self.target_return,
            target_risk=self.target_risk,
            beta=self.beta,
            turnover_cost=self.turnover_cost,
            periods_per_year=self.periods_per_year,
            covariance_estimator=rpc.CovarianceEstimator.Value(
                f"COVARIANCE_ESTIMATOR_{self.covariance_estimator.upper()}"
            ),
            ewma_half_life=self.ewma_half_life,
            views=[rpc.View(**view.model_dump()) for view in self.views],
            market_weights=self.market_weights,
            constraints=self.constraints.message() if self.constraints else None,
            current_positions=self.current_positions or {},
            risk_budgets=self.risk_budgets,
        )
        if beside is not None:
            self._add_given(request, beside)
        elif self.window_days is not None:
            request.window.days = self.window_days
        elif self.returns is not None:
            request.returns_f64le = packed(matrix(self.returns, count, "returns"))
        else:
            self._add_moments(request, count)
        return request

    def _add_given(self, request: rpc.OptimizeRequest, beside: Given) -> None:
        if beside.name == "returns":
            request.returns_f64le = beside.f64le
            return
        count = len(self.symbols)
        self._add_expected(request, count)
        if beside.rows != count:
            _refuse_shape("covariance", count, beside.rows)
        request.covariance_f64le = beside.f64le

    def _add_expected(self, request: rpc.OptimizeRequest, count: int) -> None:
        if self.expected_returns is not None or not self.views:  # views imply them
            request.expected_returns.extend(vector(self.expected_returns or [], count, "expected_returns"))

    def _add_moments(self, request: rpc.OptimizeRequest, count: int) -> None:
        self._add_expected(request, count)
        if self.covariance is not None:
            request.covariance_f64le = packed(matrix(self.covariance, count, "covariance", rows=count))
            return
        exposures = self.exposures or []
        factors = len(exposures[0]) if exposures else 0
        request.exposures_f64le = packed(matrix(exposures, factors, "exposures", rows=count))
        square = matrix(self.factor_covariance or [], factors, "factor_covariance", rows=factors)
        request.factor_covariance_f64le = packed(square)
        specific = vector(self.residual_variances or [], count, "residual_variances")
        request.residual_variances_f64le = packed(np.array(specific, _FLOAT64))


class FrontierRequest(OptimizeRequest):
    """A problem whose objective is not read, and how many points its frontier gets."""

    points: Annotated[int, Field(ge=2, le=200)] = 50


class SolverReport(TypedDict):
    """How an answer was found and how good it is."""

    route: str
    status: str
    time_ms: float
    gap: float
    kkt_residual: float
    max_violation: float


class Optimization(TypedDict):
    """Weights and what they promise; annual fractions."""

    allocations: dict[str, float]
    cash: float
    expected_return: float
    risk: float
    sharpe_ratio: float
    objective_value: float
    cvar: Annotated[float | None, Field(description="Of `min_cvar`: a positive loss per period.")]
    turnover: float | None
    binding_constraints: list[str]
    psd: str
    solver: SolverReport
    input_sha256: str
    risk_contributions: Annotated[
        dict[str, float], Field(description="Share of the risk by symbol, of `risk_parity` and `hrp`.")
    ]


class Frontier(TypedDict):
    """Points by rising risk."""

    points: list[Optimization]


def matrix(values: list[list[float]], columns: int, field: str, rows: int | None = None) -> Float64Matrix:
    """A matrix of float64; raises InvalidArgument SHAPE_MISMATCH when a row has another length."""
    for index, row in enumerate(values):
        if len(row) != columns:
            _refuse_shape(f"{field}.{index}", columns, len(row))
    if rows is not None and len(values) != rows:
        _refuse_shape(field, rows, len(values))
    return np.array(values, _FLOAT64).reshape(len(values), columns)


def optimization_view(answer: rpc.OptimizeResponse) -> Optimization:
    """Weights as JSON."""
    solver = answer.solver
    return {
        "allocations": dict(answer.allocations),
        "cash": answer.cash,
        "expected_return": answer.expected_return,
        "risk": answer.risk,
        "sharpe_ratio": answer.sharpe_ratio,
        "objective_value": answer.objective_value,
        "cvar": answer.cvar if answer.HasField("cvar") else None,
        "turnover": answer.turnover if answer.HasField("turnover") else None,
        "binding_constraints": list(answer.binding_constraints),
        "psd": answer.psd,
        "solver": {
            "route": solver.route,
            "status": solver.status,
            "time_ms": solver.time_ms,
            "gap": solver.gap,
            "kkt_residual": solver.kkt_residual,
            "max_violation": solver.max_violation,
        },
        "input_sha256": answer.input_sha256,
        "risk_contributions": dict(answer.risk_contributions),
    }


def exactly_one_source(request: BaseModel, beside: str = "") -> None:
    """Raise InvalidArgument unless the returns of a request, and what came beside it, are from one place."""
    given = [name for name in _SOURCES if name == beside or getattr(request, name, None) is not None]
    if len(given) != 1:
        wanted = [name for name in _SOURCES if hasattr(request, name)]
        raise InvalidArgument(f"Expected exactly one of {wanted}, was {given}.", field=given[-1] if given else "")


def vector(values: list[float], length: int, field: str) -> list[float]:
    """The values themselves; raises InvalidArgument SHAPE_MISMATCH when there are more or fewer."""
    if len(values) != length:
        _refuse_shape(field, length, len(values))
    return values


def _refuse_shape(field: str, expected: int, was: int) -> None:
    raise InvalidArgument(
        f"Expected {expected} values, was {was}.", reason="SHAPE_MISMATCH", field=field, expected=expected, was=was
    )


def packed(values: npt.NDArray[np.float64]) -> bytes:
    """Row-major little-endian float64."""
    return np.ascontiguousarray(values, _FLOAT64).tobytes()
