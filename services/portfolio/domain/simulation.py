"""Profit and loss of positions at a horizon, simulated from the returns of their own history.

Positions are held, not traded: on each path a symbol grows by Π(1 + rₜ) over the days of the horizon, and the
profit is Σ vᵢ·(growthᵢ − 1). Only how a day's returns are drawn differs between the methods, and all of them
draw the symbols of a day together, so that what moves together in history does so here:

- HISTORICAL_BOOTSTRAP takes whole days of history, in blocks whose lengths are geometric around `block_days`, and
  that go on at the beginning when history ends. Source: Politis and Romano, The stationary bootstrap (1994).
- GAUSSIAN draws normal returns with the history's mean and covariance (T − 1).
- STUDENT_T draws multivariate t returns with the same mean and covariance: normal deviations over the root of
  χ²/(ν − 2), which leaves the covariance as it is and the tails fat.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from services.portfolio.domain.matrices import Floats, require_finite, require_observations
from services.portfolio.domain.risk import conditional_value_at_risk, hashed, value_at_risk
from services.portfolio.domain.risk_inputs import Exposures
from trading.errors import InvalidArgument

HORIZON_DAYS_MOST, PATHS_FEWEST, PATHS_MOST = 252, 100, 1_000_000
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_ONE_IN_HUNDRED = 100
_CHUNK_CELLS = 2_000_000
"""Returns that are drawn at a time: 16 MB of float64."""
_SEEDS = 1 << 64

Day = Callable[[int], Floats]
"""Draws one day's returns for a number of paths: paths × N."""


class Method(StrEnum):
    """How the returns of a day are drawn."""

    HISTORICAL_BOOTSTRAP = "HISTORICAL_BOOTSTRAP"
    GAUSSIAN = "GAUSSIAN"
    STUDENT_T = "STUDENT_T"


@dataclass(frozen=True, slots=True)
class Plan:
    """How to simulate; `block_days` is for the bootstrap, `degrees_of_freedom` for STUDENT_T."""

    method: Method = Method.HISTORICAL_BOOTSTRAP
    horizon_days: int = 1
    paths: int = 10_000
    seed: int = 0
    degrees_of_freedom: float = 5.0
    block_days: float = 5.0


@dataclass(frozen=True, slots=True)
class LossDistribution:
    """Profit and loss at the horizon, in money; values at risk are positive losses."""

    value: float
    var_95: float
    cvar_95: float
    var_99: float
    cvar_99: float
    mean: float
    deviation: float
    var_95_error: float
    loss_probability: float
    percentiles: tuple[float, ...]
    symbols: tuple[str, ...]
    observations: int
    input_sha256: str


def require_plan(plan: Plan, symbols: int, cells_max: int) -> None:
    """Raise InvalidArgument for a plan out of bounds, by field, or with more than `cells_max` returns to draw."""
    bounds = (
        ("horizon_days", plan.horizon_days, 1, HORIZON_DAYS_MOST),
        ("paths", plan.paths, PATHS_FEWEST, PATHS_MOST),
    )
    for name, value, least, most in bounds:
        if not least <= value <= most:
            raise InvalidArgument(f"Expected {least}-{most}.", field=name, was=value)
    if not (math.isfinite(plan.block_days) and plan.block_days >= 1):
        raise InvalidArgument("Expected blocks of at least one day.", field="block_days", was=plan.block_days)
    if plan.method is Method.STUDENT_T and not (math.isfinite(plan.degrees_of_freedom) and plan.degrees_of_freedom > 2):
        message = "Expected more than two degrees of freedom: with fewer there is no variance."
        raise InvalidArgument(message, field="degrees_of_freedom", was=plan.degrees_of_freedom)
    cells = plan.paths * plan.horizon_days * symbols
    if cells > cells_max:
        message = f"Expected paths × days × symbols of at most {cells_max}, was {cells}."
        raise InvalidArgument(message, reason="SIMULATION_TOO_LARGE", field="paths", most=cells_max, was=cells)


def simulate(exposures: Exposures, returns: Floats, plan: Plan) -> LossDistribution:
    """Simulate a plan that `require_plan` let pass on T×N simple returns; raises Refusal for wrong returns."""
    require_observations(returns, len(exposures.symbols))
    require_finite("returns", returns)
    profits = np.concatenate(list(_profits(exposures.values, returns, plan)))
    return LossDistribution(
        value=exposures.net,
        var_95=value_at_risk(profits),
        cvar_95=conditional_value_at_risk(profits),
        var_99=value_at_risk(profits, _ONE_IN_HUNDRED),
        cvar_99=conditional_value_at_risk(profits, _ONE_IN_HUNDRED),
        mean=float(profits.mean()),
        deviation=float(profits.std(ddof=1)),
        var_95_error=quantile_error(profits, 0.05),
        loss_probability=float(np.mean(profits < 0)),
        percentiles=tuple(map(float, np.percentile(profits, PERCENTILES))),
        symbols=exposures.symbols,
        observations=len(returns),
        input_sha256=hashed({"symbols": exposures.symbols}, exposures.values, returns),
    )


def quantile_error(values: Floats, share: float) -> float:
    """Standard error of a quantile, without assuming a distribution.

    The number of values below the true quantile is binomial; half the distance between the values one deviation
    of it to either side is the error. Source: Woodruff, Confidence intervals for medians and other position
    measures (1952).
    """
    count = len(values)
    rank, spread = share * count, math.sqrt(share * (1 - share) * count)
    low, high = max(round(rank - spread), 1), min(round(rank + spread), count)
    edges = np.partition(values, (low - 1, high - 1))
    return float(edges[high - 1] - edges[low - 1]) / 2


def _profits(values: Floats, returns: Floats, plan: Plan) -> Iterator[Floats]:
    """Profits of all paths, some paths at a time; how many depends on N alone, so that a seed means the same."""
    random = np.random.Generator(np.random.PCG64(plan.seed % _SEEDS))
    most = max(1, _CHUNK_CELLS // len(values))
    for done in range(0, plan.paths, most):
        paths = min(most, plan.paths - done)
        day = _drawing(random, returns, plan)
        growth = 1.0 + day(paths)
        for _ in range(plan.horizon_days - 1):
            growth *= 1.0 + day(paths)
        profits: Floats = (growth - 1.0) @ values
        yield profits


def _drawing(random: np.random.Generator, returns: Floats, plan: Plan) -> Day:
    match plan.method:
        case Method.HISTORICAL_BOOTSTRAP:
            return _blocks(random, returns, plan.block_days)
        case Method.GAUSSIAN:
            return _normal(random, returns)
        case Method.STUDENT_T:
            return _student(random, returns, plan.degrees_of_freedom)


def _blocks(random: np.random.Generator, returns: Floats, block_days: float) -> Day:
    days = len(returns)
    place: npt.NDArray[np.int64] | None = None

    def day(paths: int) -> Floats:
        nonlocal place
        fresh = random.integers(days, size=paths)
        if place is None:
            place = fresh
        else:
            begins = random.random(paths) < 1 / block_days
            place = np.where(begins, fresh, (place + 1) % days)
        drawn: Floats = returns[place]
        return drawn

    return day


def _normal(random: np.random.Generator, returns: Floats) -> Day:
    mean, root = _moments(returns)
    return lambda paths: mean + random.standard_normal((paths, len(root))) @ root


def _student(random: np.random.Generator, returns: Floats, degrees: float) -> Day:
    mean, root = _moments(returns)

    def day(paths: int) -> Floats:
        stretch = np.sqrt((degrees - 2) / random.chisquare(degrees, paths))
        drawn: Floats = mean + stretch[:, None] * (random.standard_normal((paths, len(root))) @ root)
        return drawn

    return day


def _moments(returns: Floats) -> tuple[Floats, Floats]:
    """Mean, and a root F of the covariance, FᵀF = Σ: from QR, which no singular covariance troubles."""
    mean = returns.mean(axis=0)
    root: Floats = np.linalg.qr(returns - mean).R / math.sqrt(len(returns) - 1)
    return mean, root
