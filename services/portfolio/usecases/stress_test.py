"""Says what named shocks would do to positions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from services.portfolio.domain.risk_inputs import DEFAULT_WINDOW_DAYS, Exposures, Subject
from services.portfolio.domain.stress import (
    SCENARIOS_MOST,
    Outcome,
    Scenario,
    betas,
    built_in,
    replayed,
    require_scenario,
    shocked,
    stretch_to_read,
)
from services.portfolio.ports import MarketData
from services.portfolio.usecases.read_exposures import ReadExposures
from services.portfolio.usecases.read_market import ReadMarket
from trading.clock import DAY_NS
from trading.errors import InvalidArgument, Kind, TradingError
from trading.instruments import DEFAULT_BENCHMARK, Instruments

_NO_HISTORY = frozenset({Kind.NOT_FOUND, Kind.FAILED_PRECONDITION})


class StressReport(NamedTuple):
    """Outcomes in the order of the scenarios, and the positions they happened to."""

    outcomes: tuple[Outcome, ...]
    exposures: Exposures


class StressTest:
    """Answers stress questions; a scenario without its history says so and keeps no other from its outcome."""

    def __init__(self, exposures: ReadExposures, market: ReadMarket, market_data: MarketData) -> None:
        self._exposures = exposures
        self._market = market
        self._market_data = market_data

    async def __call__(
        self, subject: Subject, scenarios: Sequence[Scenario], window_days: int, benchmark: str
    ) -> StressReport:
        """What each scenario does; the built-in ones when none are given.

        Raises InvalidArgument for scenarios that say nothing or too many of them, UnknownSymbol for a symbol that
        no instrument carries, and what ReadExposures raises.
        """
        if len(scenarios) > SCENARIOS_MOST:
            raise InvalidArgument(f"Expected at most {SCENARIOS_MOST} scenarios.", field="scenarios")
        for scenario in scenarios:
            require_scenario(scenario)
        known = await self._market_data.instruments()
        exposures = _canonical(await self._exposures(subject), known)
        _require_known_sectors(scenarios, known)
        asked = [_spelt(scenario, known) for scenario in scenarios] or built_in(exposures)
        sectors = {instrument.symbol.upper(): instrument.sector for instrument in known}
        beta = _Betas(self._market, exposures, window_days or DEFAULT_WINDOW_DAYS, benchmark or DEFAULT_BENCHMARK)
        return StressReport(tuple([await self._outcome(one, exposures, sectors, beta) for one in asked]), exposures)

    async def _outcome(
        self, scenario: Scenario, exposures: Exposures, sectors: Mapping[str, str], beta: "_Betas"
    ) -> Outcome:
        try:
            if scenario.is_history:
                return await self._replay(scenario, exposures)
            found = await beta() if scenario.needs_beta(exposures.symbols, sectors) else {}
            return shocked(scenario, exposures, sectors, found)
        except TradingError as error:
            if error.kind not in _NO_HISTORY:
                raise
            return Outcome(scenario.name, error=error.message)

    async def _replay(self, scenario: Scenario, exposures: Exposures) -> Outcome:
        first, end = stretch_to_read(scenario)
        closes = await self._market_data.daily_closes(exposures.symbols, max(first, 0) * DAY_NS, end * DAY_NS)
        return replayed(scenario, exposures, closes)


class _Betas:
    """Betas of the positions in the window, read when the first scenario needs them."""

    def __init__(self, market: ReadMarket, exposures: Exposures, days: int, benchmark: str) -> None:
        self._market = market
        self._exposures = exposures
        self._days = days
        self._benchmark = benchmark
        self._found: Mapping[str, float] | None = None

    async def __call__(self) -> Mapping[str, float]:
        if self._found is None:
            returns, market = await self._market(self._exposures.symbols, self._days, self._benchmark)
            if market is not None:  # a named benchmark has a history, or reading it was refused
                self._found = dict(zip(self._exposures.symbols, map(float, betas(returns, market)), strict=True))
        return self._found or {}


def _canonical(exposures: Exposures, known: Instruments) -> Exposures:
    return Exposures(tuple(known.get(symbol).symbol for symbol in exposures.symbols), exposures.values)


def _spelt(scenario: Scenario, known: Instruments) -> Scenario:
    shocks = {known.get(symbol).symbol: shock for symbol, shock in scenario.symbol_shocks.items()}
    return replace(scenario, symbol_shocks=shocks)


def _require_known_sectors(scenarios: Sequence[Scenario], known: Instruments) -> None:
    sectors = {instrument.sector for instrument in known if instrument.sector}
    wanted = {sector for scenario in scenarios for sector in scenario.sector_shocks}
    unknown = sorted(wanted - sectors)
    if unknown:
        raise InvalidArgument(
            f"No instrument is of the sector {unknown[0]!r}.",
            reason="UNKNOWN_SECTOR",
            field="scenarios.sector_shocks",
            known=", ".join(sorted(sectors)),
        )
