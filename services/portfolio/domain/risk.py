"""The risk of positions on a matrix of simple returns, by stated definitions.

r_t = Σ wᵢRᵢₜ. Losses are positive. Annual figures scale means by the periods of a year and deviations by
its square root. Deviations, variances and covariances have T − 1 degrees of freedom.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import require_finite, require_length, require_observations, require_unique
from trading.errors import InvalidArgument
from trading.instruments import DEFAULT_BENCHMARK

Floats = npt.NDArray[np.float64]

TAIL_ONE_IN = 20
"""The tail is one period in twenty: 5 %."""
_TAIL = 1 / TAIL_ONE_IN
_NORMAL = NormalDist()
_TAIL_SCORE = _NORMAL.inv_cdf(1 - _TAIL)
_TAIL_MEAN_SCORE = _NORMAL.pdf(_TAIL_SCORE) / _TAIL
_NO_DEVIATION = 1e-13
"""A deviation this small beside the returns themselves is rounding, and counts as none."""


class PositionKind(StrEnum):
    """What the numbers of the positions are."""

    WEIGHTS = "WEIGHTS"
    NOTIONAL = "NOTIONAL"


@dataclass(frozen=True, slots=True)
class RiskQuestion:
    """N symbols, N signed positions, T×N returns, and T returns of the market or none."""

    symbols: tuple[str, ...]
    positions: Floats
    kind: PositionKind
    returns: Floats
    market: Floats | None
    risk_free_rate: float = 0.02
    periods_per_year: float = 252.0


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Value at risk per period as a fraction, or as money for NOTIONAL positions; None where undefined."""

    var_95: float
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


def market_of(symbols: tuple[str, ...], returns: Floats, benchmark: str) -> Floats | None:
    """The benchmark's own column; None when the default one is not among the symbols."""
    name = benchmark or DEFAULT_BENCHMARK
    if name in symbols and returns.ndim == 2 and returns.shape[1] == len(symbols):
        return returns[:, symbols.index(name)]
    if benchmark:
        raise InvalidArgument(
            "The benchmark is not among the symbols.", reason="UNKNOWN_SYMBOL", field="benchmark", symbol=benchmark
        )
    return None


def require_answerable(question: RiskQuestion) -> None:
    """Raise a Refusal for wrong shapes, repeated symbols, values that are not finite, or T < 2."""
    require_unique(question.symbols)
    count = len(question.symbols)
    require_length("positions", question.positions, count)
    require_observations(question.returns, count)
    require_finite("positions", question.positions)
    require_finite("returns", question.returns)
    if question.market is not None:
        require_length("market_returns", question.market, len(question.returns))
        require_finite("market_returns", question.market)
    _require_rates(question)


def _require_rates(question: RiskQuestion) -> None:
    if not (math.isfinite(question.periods_per_year) and question.periods_per_year > 0):
        raise InvalidArgument("Expected a positive number of periods.", field="periods_per_year")
    if not math.isfinite(question.risk_free_rate):
        raise InvalidArgument("Expected a finite rate.", field="risk_free_rate")


def measure(question: RiskQuestion) -> RiskReport:
    """Answer a question that `require_answerable` let pass.

    NOTIONAL positions are divided by their gross sum, so that ratios, volatility and drawdown are those of
    that capital, and the values at risk are multiplied by it again.
    """
    capital = float(np.abs(question.positions).sum()) if question.kind is PositionKind.NOTIONAL else 1.0
    weights = question.positions / capital if capital else question.positions
    returns = question.returns @ weights
    mean, deviation = float(returns.mean()), _deviation(returns)
    year, rate = question.periods_per_year, question.risk_free_rate
    beta, correlation, tracking_error = _against_market(returns, question.market, year)
    excess = year * mean - rate
    volatility = math.sqrt(year) * deviation
    downside = math.sqrt(year) * downside_deviation(returns, rate / year)
    return RiskReport(
        var_95=capital * value_at_risk(returns),
        cvar_95=capital * conditional_value_at_risk(returns),
        var_95_gaussian=capital * (_TAIL_SCORE * deviation - mean),
        cvar_95_gaussian=capital * (_TAIL_MEAN_SCORE * deviation - mean),
        beta=beta,
        sharpe_ratio=excess / volatility if volatility else None,
        sortino_ratio=excess / downside if downside else None,
        max_drawdown=max_drawdown(returns),
        volatility=volatility,
        annual_return=year * mean,
        tracking_error=tracking_error,
        correlation=correlation,
        observations=len(returns),
        gross_exposure=float(np.abs(question.positions).sum()),
        net_exposure=float(question.positions.sum()),
        input_sha256=fingerprint(question),
    )


def fingerprint(question: RiskQuestion) -> str:
    """SHA-256 of everything that decides the answer, hex: the same question, the same fingerprint."""
    words = {
        "symbols": question.symbols,
        "kind": question.kind,
        "risk_free_rate": question.risk_free_rate,
        "periods_per_year": question.periods_per_year,
        "has_market": question.market is not None,
    }
    market = [] if question.market is None else [question.market]
    return hashed(words, question.positions, question.returns, *market)


def hashed(words: Mapping[str, object], *numbers: Floats) -> str:
    """SHA-256 of some named words and of float64 numbers behind them, hex."""
    digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
    for values in numbers:
        digest.update(np.ascontiguousarray(values, "<f8").data)
    return digest.hexdigest()


def value_at_risk(returns: Floats, one_in: int = TAIL_ONE_IN) -> float:
    """The k-th largest loss, k = ⌈T/one_in⌉ in integers: no float can push it one rank too far."""
    rank = -(-len(returns) // one_in)
    return 0.0 - float(np.partition(returns, rank - 1)[rank - 1])  # 0 − 0 is 0, where −0 would be −0.0


def conditional_value_at_risk(returns: Floats, one_in: int = TAIL_ONE_IN) -> float:
    """Mean of the worst T/one_in losses, the last of them by the part that belongs to the tail.

    Source: Rockafellar and Uryasev, Conditional value-at-risk for general loss distributions (2002).
    """
    rank = -(-len(returns) // one_in)
    worst = np.sort(np.partition(returns, rank - 1)[:rank])
    tail = len(returns) / one_in
    return 0.0 - float(worst[:-1].sum() + (tail - (rank - 1)) * worst[-1]) / tail


def downside_deviation(returns: Floats, target: float) -> float:
    """Root of the mean squared shortfall below `target`, over all T periods."""
    shortfall = np.minimum(returns - target, 0.0)
    return math.sqrt(float(np.mean(shortfall * shortfall)))


def max_drawdown(returns: Floats) -> float:
    """Deepest fall of the compounded curve from its highest point so far, the start included.

    A curve that reaches zero stays where it is: what is lost, or owed, earns nothing more.
    """
    curve = np.concatenate(([1.0], np.cumprod(1.0 + returns)))
    lost = np.flatnonzero(curve <= 0)
    if len(lost):
        curve = curve[: lost[0] + 1]
    return float(np.max(1.0 - curve / np.maximum.accumulate(curve)))


def _deviation(values: Floats) -> float:
    deviation = float(values.std(ddof=1))
    return deviation if deviation > _NO_DEVIATION * float(np.abs(values).max()) else 0.0


def _against_market(
    returns: Floats, market: Floats | None, year: float
) -> tuple[float | None, float | None, float | None]:
    """Beta, correlation and annual tracking error; None without a market that moves."""
    if market is None:
        return None, None, None
    tracking_error = math.sqrt(year) * _deviation(returns - market)
    own, theirs = _deviation(returns), _deviation(market)
    if not theirs:
        return None, None, tracking_error
    covariance = float(np.cov(returns, market, ddof=1)[0, 1])
    return covariance / theirs**2, covariance / (own * theirs) if own else None, tracking_error
