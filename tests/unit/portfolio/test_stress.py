"""Shocks: what each symbol loses, by its own change, its sector's, its beta or its history."""

import math

import numpy as np
import pytest

from services.portfolio.domain.risk_inputs import Exposures
from services.portfolio.domain.stress import (
    STRETCH_DAYS_MOST,
    Scenario,
    betas,
    built_in,
    parse_day,
    replayed,
    require_scenario,
    shocked,
    stretch_to_read,
)
from trading.errors import FailedPrecondition, InvalidArgument

HELD = Exposures(("AAPL", "MSFT", "BAC"), np.array([1000.0, -500.0, 2000.0]))
SECTORS = {"AAPL": "Technology", "MSFT": "Technology", "BAC": "Financials"}
BETAS = {"AAPL": 1.2, "MSFT": 0.9, "BAC": 1.5}


def test_a_symbols_own_shock_comes_before_its_sectors_and_its_sectors_before_the_markets() -> None:
    scenario = Scenario("all", {"AAPL": -0.5}, {"Technology": -0.1}, market_shock=-0.2)
    found = shocked(scenario, HELD, SECTORS, BETAS)
    assert found.by_symbol == pytest.approx({"AAPL": -500.0, "MSFT": 50.0, "BAC": -600.0})
    assert found.profit == pytest.approx(-1050.0)
    assert found.fraction == pytest.approx(-1050 / 3500)


def test_what_no_shock_names_does_not_move() -> None:
    found = shocked(Scenario("one", {"AAPL": 0.1}), HELD, SECTORS, {})
    assert found.by_symbol == {"AAPL": 100.0, "MSFT": 0.0, "BAC": 0.0}


def test_betas_are_needed_only_by_what_follows_the_market() -> None:
    everything = Scenario("m", {"BAC": 0.0}, {"Technology": -0.1}, market_shock=-0.2)
    assert not everything.needs_beta(HELD.symbols, SECTORS)
    assert Scenario("m", {"BAC": 0.0}, market_shock=-0.2).needs_beta(HELD.symbols, SECTORS)
    assert not Scenario("s", {"BAC": 0.0}).needs_beta(HELD.symbols, SECTORS)


def test_a_beta_is_the_covariance_over_the_variance() -> None:
    random = np.random.default_rng(2)
    market = random.normal(0, 0.01, 252)
    returns = np.column_stack([1.3 * market + random.normal(0, 0.005, 252), random.normal(0, 0.01, 252), market])
    expected = [np.cov(column, market)[0, 1] / np.var(market, ddof=1) for column in returns.T]
    assert betas(returns, market) == pytest.approx(expected, abs=1e-12)
    assert betas(returns, market)[2] == pytest.approx(1.0, abs=1e-12)


def test_a_market_that_did_not_move_gives_no_beta() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        betas(np.ones((10, 1)), np.zeros(10))
    assert refused.value.reason == "FLAT_BENCHMARK"


def test_history_is_replayed_from_the_close_before_its_first_day_to_its_last() -> None:
    scenario = Scenario("crash", first_day=100, last_day=103)
    closes = [{95: 10.0, 99: 20.0, 100: 18.0, 103: 15.0, 104: 1.0}] * 3
    found = replayed(scenario, HELD, closes)
    assert found.by_symbol == pytest.approx({"AAPL": -250.0, "MSFT": 125.0, "BAC": -500.0})
    assert stretch_to_read(scenario) == (86, 104)


@pytest.mark.parametrize(
    "closes",
    [
        {},
        {100: 1.0, 103: 2.0},  # nothing before
        {99: 1.0},  # nothing within
        {80: 1.0, 100: 2.0, 103: 2.0},  # the close before is too old
    ],
)
def test_a_stretch_without_history_names_the_symbol(closes: dict[int, float]) -> None:
    whole = {99: 1.0, 103: 1.0}
    with pytest.raises(FailedPrecondition) as refused:
        replayed(Scenario("crash", first_day=100, last_day=103), HELD, [whole, closes, whole])
    assert (refused.value.reason, refused.value.metadata["symbol"]) == ("INSUFFICIENT_HISTORY", "MSFT")


def test_history_that_ends_long_before_the_stretch_does_is_none() -> None:
    with pytest.raises(FailedPrecondition):
        replayed(Scenario("crash", first_day=100, last_day=200), HELD, [{99: 1.0, 120: 1.0}] * 3)


def test_the_built_in_scenarios_are_whole_and_the_largest_position_moves_against_the_book() -> None:
    for scenario in built_in(HELD):
        require_scenario(scenario)
    largest = next(one for one in built_in(HELD) if one.name == "largest_position_against_30")
    assert largest.symbol_shocks == {"BAC": -0.3}
    short = Exposures(("AAPL", "BAC"), np.array([10.0, -20.0]))
    largest = next(one for one in built_in(short) if one.name == "largest_position_against_30")
    assert largest.symbol_shocks == {"BAC": 0.3}


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("", {"AAPL": 0.1}),
        Scenario("nothing"),
        Scenario("nan", {"AAPL": math.nan}),
        Scenario("inf", market_shock=math.inf),
        Scenario("both", {"AAPL": 0.1}, first_day=1, last_day=2),
        Scenario("backwards", first_day=2, last_day=1),
        Scenario("endless", first_day=2),
        Scenario("long", first_day=2, last_day=2 + STRETCH_DAYS_MOST),
    ],
    ids=lambda scenario: scenario.name or "nameless",
)
def test_a_scenario_that_makes_no_sense_is_refused(scenario: Scenario) -> None:
    with pytest.raises(InvalidArgument):
        require_scenario(scenario)


def test_days_are_counted_from_1970() -> None:
    assert parse_day("1970-01-02", "x") == 1
    assert parse_day("2020-02-20", "x") == 18_312
    for text in ("2020-02-30", "yesterday", "20200220", ""):
        with pytest.raises(InvalidArgument) as refused:
            parse_day(text, "history_start")
        assert refused.value.metadata["field"] == "history_start"
