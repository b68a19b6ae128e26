"""What named shocks do to positions: each symbol's value times its own relative change."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import numpy as np

from services.portfolio.domain.estimation.history import Closes
from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.risk_inputs import Exposures
from trading.errors import FailedPrecondition, InvalidArgument

SCENARIOS_MOST = 100
STRETCH_DAYS_MOST = 3660
_EPOCH = date(1970, 1, 1)
_LONGEST_PAUSE_DAYS = 14
"""A close this much older than the stretch still is its beginning: long holidays lie between."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A named shock: changes of symbols, of sectors and of the market; or a stretch of history, days since 1970.

    A symbol takes its own change; else its sector's; else its beta times the market's; else none. Changes are
    relative: −0.2 loses a fifth.
    """

    name: str
    symbol_shocks: Mapping[str, float] = field(default_factory=dict)
    sector_shocks: Mapping[str, float] = field(default_factory=dict)
    market_shock: float | None = None
    first_day: int | None = None
    last_day: int | None = None

    @property
    def is_history(self) -> bool:
        return self.first_day is not None

    def needs_beta(self, symbols: Sequence[str], sectors: Mapping[str, str]) -> bool:
        """Some symbol follows the market."""
        return self.market_shock is not None and any(
            symbol not in self.symbol_shocks and sectors.get(symbol.upper(), "") not in self.sector_shocks
            for symbol in symbols
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a scenario does, in money; `error` says why it could not be computed."""

    name: str
    profit: float = 0.0
    fraction: float = 0.0
    by_symbol: Mapping[str, float] = field(default_factory=dict)
    error: str = ""


def require_scenario(scenario: Scenario) -> None:
    """Raise InvalidArgument for a scenario that says nothing, two things at once, or no number."""
    shocks = (*scenario.symbol_shocks.values(), *scenario.sector_shocks.values(), scenario.market_shock or 0.0)
    if not scenario.name:
        raise InvalidArgument("Expected a scenario with a name.", field="scenarios.name")
    if not all(math.isfinite(shock) for shock in shocks):
        raise InvalidArgument("Expected finite shocks.", field="scenarios", scenario=scenario.name)
    has_shocks = bool(scenario.symbol_shocks or scenario.sector_shocks or scenario.market_shock is not None)
    if has_shocks == scenario.is_history:
        message = "Expected shocks or a stretch of history, was both." if has_shocks else "The scenario shocks nothing."
        raise InvalidArgument(message, field="scenarios", scenario=scenario.name)
    if scenario.first_day is not None:
        _require_stretch(scenario.name, scenario.first_day, scenario.last_day)


def _require_stretch(name: str, first: int, last: int | None) -> None:
    if last is None or not first <= last < first + STRETCH_DAYS_MOST:
        message = f"Expected a stretch of 1-{STRETCH_DAYS_MOST} days, its last day after its first."
        raise InvalidArgument(message, field="scenarios.history_end", scenario=name)


def parse_day(text: str, field_name: str) -> int:
    """Days since 1970 of YYYY-MM-DD; raises InvalidArgument."""
    try:
        return (date.fromisoformat(text) - _EPOCH).days if len(text) == len("YYYY-MM-DD") else _no_day(text, field_name)
    except ValueError:
        return _no_day(text, field_name)


def _no_day(text: str, field_name: str) -> int:
    raise InvalidArgument("Expected a day as YYYY-MM-DD.", field=field_name, was=text[:32])


def built_in(exposures: Exposures) -> tuple[Scenario, ...]:
    """Shocks that anybody may want to know: the market, the largest position, and three bad times."""
    largest = exposures.symbols[int(np.abs(exposures.values).argmax())]
    falls_by = -math.copysign(0.3, float(exposures.values[exposures.symbols.index(largest)]))
    return (
        Scenario("market_down_10", market_shock=-0.1),
        Scenario("market_down_20", market_shock=-0.2),
        Scenario("market_up_10", market_shock=0.1),
        Scenario("largest_position_against_30", symbol_shocks={largest: falls_by}),
        _stretch("financial_crisis_2008", "2007-10-09", "2009-03-09"),
        _stretch("pandemic_2020", "2020-02-20", "2020-03-23"),
        _stretch("rates_2022", "2022-01-04", "2022-10-12"),
    )


def _stretch(name: str, first: str, last: str) -> Scenario:
    return Scenario(name, first_day=parse_day(first, "first"), last_day=parse_day(last, "last"))


def betas(returns: Floats, market: Floats) -> Floats:
    """cov(rᵢ, m) / var(m) of every column (T − 1).

    Raises FailedPrecondition FLAT_BENCHMARK when the market did not move.
    """
    moves = market - market.mean()
    variance = float(moves @ moves)
    if not variance:
        raise FailedPrecondition("The benchmark did not move in the window.", reason="FLAT_BENCHMARK")
    found: Floats = moves @ (returns - returns.mean(axis=0)) / variance
    return found


def shocked(scenario: Scenario, exposures: Exposures, sectors: Mapping[str, str], beta: Mapping[str, float]) -> Outcome:
    """The outcome of shocks; `sectors` by symbol in capitals, `beta` for every symbol that follows the market."""
    changes = [_change(scenario, symbol, sectors, beta) for symbol in exposures.symbols]
    return _outcome(scenario.name, exposures, changes)


def _change(scenario: Scenario, symbol: str, sectors: Mapping[str, str], beta: Mapping[str, float]) -> float:
    if symbol in scenario.symbol_shocks:
        return scenario.symbol_shocks[symbol]
    sector = sectors.get(symbol.upper(), "")
    if sector in scenario.sector_shocks:
        return scenario.sector_shocks[sector]
    return 0.0 if scenario.market_shock is None else beta[symbol] * scenario.market_shock


def replayed(scenario: Scenario, exposures: Exposures, closes: Sequence[Closes]) -> Outcome:
    """The outcome of a stretch of history: from the last close before its first day to its last close.

    Raises FailedPrecondition INSUFFICIENT_HISTORY, naming the symbol.
    """
    first, last = scenario.first_day or 0, scenario.last_day or 0
    changes = [
        _change_over(symbol, column, first, last) for symbol, column in zip(exposures.symbols, closes, strict=True)
    ]
    return _outcome(scenario.name, exposures, changes)


def _change_over(symbol: str, closes: Closes, first: int, last: int) -> float:
    before = [day for day in closes if first - _LONGEST_PAUSE_DAYS <= day < first]
    within = [day for day in closes if first <= day <= last]
    if not before or not within or max(within) < last - _LONGEST_PAUSE_DAYS:
        raise FailedPrecondition(
            f"There is no history of {symbol} from {_text(first)} to {_text(last)}.",
            reason="INSUFFICIENT_HISTORY",
            symbol=symbol,
        )
    return closes[max(within)] / closes[max(before)] - 1.0


def stretch_to_read(scenario: Scenario) -> tuple[int, int]:
    """Days whose closes a stretch needs: the first, and the one after the last."""
    return (scenario.first_day or 0) - _LONGEST_PAUSE_DAYS, (scenario.last_day or 0) + 1


def _outcome(name: str, exposures: Exposures, changes: Sequence[float]) -> Outcome:
    profits = {
        symbol: float(value) * change
        for symbol, value, change in zip(exposures.symbols, exposures.values, changes, strict=True)
    }
    total = math.fsum(profits.values())
    return Outcome(name, total, total / exposures.gross if exposures.gross else 0.0, profits)


def _text(day: int) -> str:
    return datetime.fromtimestamp(day * 86_400, UTC).date().isoformat()
