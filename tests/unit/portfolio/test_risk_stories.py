"""Risk, simulated losses and shocks: of given positions and of an account's real book, over its own history."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders.portfolio_desk import TODAY, BookDesk, book_desk
from fakes.portfolio import run_here

from services.portfolio.domain.risk import PositionKind
from services.portfolio.domain.risk_inputs import RiskRequest, Subject
from services.portfolio.domain.simulation import Method, Plan
from services.portfolio.domain.stress import SCENARIOS_MOST, Scenario
from services.portfolio.usecases.calculate_risk import CalculateRisk
from services.portfolio.usecases.read_exposures import ReadExposures
from services.portfolio.usecases.read_market import ReadMarket
from services.portfolio.usecases.read_returns import ReadReturns
from services.portfolio.usecases.simulate_losses import SimulateLosses
from services.portfolio.usecases.stress_test import StressTest
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, TradingError, UnknownSymbol

DAYS = 300


def walk(seed: int) -> dict[int, float]:
    """Closes of `DAYS` days up to yesterday."""
    steps = np.random.default_rng(seed).normal(0.0005, 0.015, DAYS)
    return dict(zip(range(TODAY - DAYS, TODAY), map(float, 100 * np.cumprod(1 + steps)), strict=True))


CLOSES = {"AAPL": walk(1), "TSLA": walk(2), "SPY": walk(3), "BTC-USDT": walk(4)}


class Risk:
    """The three questions over one book."""

    def __init__(self, desk: BookDesk) -> None:
        self.desk = desk
        exposures, returns = ReadExposures(desk.read, desk.rates), ReadReturns(desk.market_data, desk.clock)
        market = ReadMarket(returns)
        self.calculate = CalculateRisk(exposures, market, run_here)
        self.simulate = SimulateLosses(exposures, returns, run_here, cells_max=10_000_000)
        self.stress = StressTest(exposures, market, desk.market_data)


@pytest.fixture
async def risk(tmp_path: Path) -> AsyncIterator[Risk]:
    async with book_desk(tmp_path, CLOSES) as desk:
        yield Risk(desk)


@pytest.fixture
def held(risk: Risk) -> Risk:
    """Ten AAPL at 110 and a short of five TSLA at 200."""
    risk.desk.trade("AAPL", "10", "100")
    risk.desk.trade("TSLA", "-5", "210")
    risk.desk.trade("SPY", "3", "50")
    risk.desk.trade("SPY", "-3", "51")  # flat again
    risk.desk.mark("AAPL", "110")
    risk.desk.mark("TSLA", "200")
    return risk


def a_request(**words: Any) -> RiskRequest:
    named = {
        "symbols": ("AAPL", "TSLA"),
        "positions": np.array([0.5, 0.5]),
        "kind": PositionKind.WEIGHTS,
        "returns": None,
        "market": None,
        "benchmark": "",
        "window_days": 0,
        "account": "",
        "risk_free_rate": 0.02,
        "periods_per_year": 252.0,
    }
    return RiskRequest(**(named | words))


def of_account(**words: Any) -> RiskRequest:
    return a_request(**{"symbols": (), "positions": np.empty(0), "account": "main"} | words)


def returns_of(*symbols: str, days: int) -> np.ndarray:
    prices = np.array([list(CLOSES[symbol].values()) for symbol in symbols]).T[-days - 1 :]
    return prices[1:] / prices[:-1] - 1


async def test_given_positions_are_measured_on_the_newest_window_beside_the_default_benchmark(risk: Risk) -> None:
    report = await risk.calculate(a_request(window_days=100))
    window = returns_of("AAPL", "TSLA", "SPY", days=100)
    own, market = window[:, :2] @ [0.5, 0.5], window[:, 2]
    assert report.observations == 100
    assert report.var_95 == pytest.approx(np.sort(-own)[-5], abs=1e-9)
    assert report.beta == pytest.approx(np.cov(own, market)[0, 1] / np.var(market, ddof=1), abs=1e-9)
    assert (report.gross_exposure, report.net_exposure) == (1.0, 1.0)


async def test_a_benchmark_among_the_symbols_is_read_once(risk: Risk) -> None:
    request = a_request(symbols=("AAPL", "SPY"), positions=np.array([0.0, 1.0]), window_days=60)
    report = await risk.calculate(request)
    assert report.beta == pytest.approx(1.0, abs=1e-9)
    assert report.tracking_error == pytest.approx(0.0, abs=1e-12)


async def test_an_accounts_positions_are_measured_in_money_on_a_year(held: Risk) -> None:
    report = await held.calculate(of_account())
    profits = returns_of("AAPL", "TSLA", days=252) @ [1100.0, -1000.0]
    assert report.observations == 252
    assert report.var_95 == pytest.approx(np.sort(-profits)[-13], abs=1e-6)
    assert (report.gross_exposure, report.net_exposure) == (2100.0, 100.0)


async def test_value_at_risk_doubles_with_the_book(held: Risk) -> None:
    once = await held.calculate(of_account(window_days=100))
    held.desk.trade("AAPL", "10", "110")
    held.desk.trade("TSLA", "-5", "200")
    twice = await held.calculate(of_account(window_days=100))
    assert twice.var_95 == pytest.approx(2 * once.var_95, rel=1e-12)
    assert twice.input_sha256 != once.input_sha256


async def test_the_same_question_has_the_same_fingerprint(held: Risk) -> None:
    first, again = await held.calculate(of_account()), await held.calculate(of_account())
    assert first.input_sha256 == again.input_sha256
    other = await held.calculate(of_account(risk_free_rate=0.03))
    assert other.input_sha256 != first.input_sha256
    assert len(first.input_sha256) == 64


async def test_without_the_default_benchmark_there_is_no_beta_but_every_other_figure(risk: Risk) -> None:
    del risk.desk.market_data.known_closes["SPY"]
    report = await risk.calculate(a_request(window_days=60))
    assert (report.beta, report.correlation, report.tracking_error) == (None, None, None)
    assert report.var_95 > 0


async def test_a_named_benchmark_must_have_a_history(risk: Risk) -> None:
    with pytest.raises(UnknownSymbol) as refused:
        await risk.calculate(a_request(window_days=60, benchmark="QQQ"))
    assert refused.value.metadata["symbol"] == "QQQ"


async def test_an_unknown_symbol_is_an_error(risk: Risk) -> None:
    with pytest.raises(UnknownSymbol):
        await risk.calculate(a_request(symbols=("AAPL", "NOPE"), window_days=60))


async def test_the_market_that_was_given_is_the_market(risk: Risk) -> None:
    returns = returns_of("AAPL", "TSLA", days=60)
    market = returns[:, 0] * 2
    on_window = await risk.calculate(a_request(window_days=60, market=market))
    on_returns = await risk.calculate(a_request(returns=returns, market=market))
    assert on_window == on_returns
    named = a_request(symbols=("AAPL", "SPY"), returns=returns, benchmark="SPY")
    assert (await risk.calculate(named)).beta is not None


@pytest.mark.parametrize(
    "words",
    [
        {"account": "main"},
        {"account": "main", "symbols": (), "positions": np.empty(0), "returns": np.ones((3, 1))},
        {"returns": np.ones((3, 2)), "window_days": 5},
    ],
)
async def test_two_sources_of_one_thing_are_refused(held: Risk, words: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await held.calculate(a_request(**words))


async def test_an_empty_book_and_an_unknown_account_are_refused_by_name(risk: Risk) -> None:
    with pytest.raises(FailedPrecondition) as refused:
        await risk.calculate(of_account())
    assert refused.value.reason == "NOTHING_HELD"
    with pytest.raises(NotFound):
        await risk.calculate(of_account(account="other"))


async def test_values_of_two_currencies_are_added_at_the_rate_that_is_quoted(held: Risk) -> None:
    held.desk.trade("AAPL", "1", "100", currency="EUR")
    with pytest.raises(FailedPrecondition) as refused:
        await held.calculate(of_account())
    assert (refused.value.reason, refused.value.metadata["source"]) == ("NO_RATE", "EUR")
    held.desk.mark("EUR-USD", "1.5")
    report = await held.calculate(of_account())
    assert (report.gross_exposure, report.net_exposure) == (1100 + 1.5 * 110 + 1000, 100 + 1.5 * 110)


async def test_losses_of_the_book_are_simulated_from_its_own_history(held: Risk) -> None:
    found = await held.simulate(Subject(""), Plan(Method.GAUSSIAN, paths=50_000, seed=2), 0, None)
    history, values = returns_of("AAPL", "TSLA", days=252), np.array([1100.0, -1000.0])
    assert (found.symbols, found.observations, found.value) == (("AAPL", "TSLA"), 252, 100.0)
    assert found.deviation == pytest.approx(np.sqrt(values @ np.cov(history.T) @ values), rel=0.02)


async def test_given_positions_are_simulated_on_given_returns(risk: Risk) -> None:
    subject = Subject("", ("A", "B"), (10.0, 20.0))
    found = await risk.simulate(subject, Plan(paths=100), 0, np.full((5, 2), 0.1))
    assert found.mean == pytest.approx(3.0)


async def test_a_simulation_that_is_too_large_or_ambiguous_is_refused(held: Risk) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await held.simulate(Subject("main"), Plan(horizon_days=252, paths=1_000_000), 0, None)
    assert refused.value.reason == "SIMULATION_TOO_LARGE"
    for subject, days in ((Subject("main"), 0), (Subject("", ("A", "B"), (1.0, 1.0)), 5)):
        with pytest.raises(InvalidArgument):
            await held.simulate(subject, Plan(), days, np.ones((5, 2)))
    with pytest.raises(InvalidArgument):
        await held.simulate(Subject("main", ("A",), (1.0,)), Plan(), 0, None)
    with pytest.raises(TradingError) as shapeless:
        await held.simulate(Subject("", ("A",), (1.0, 2.0)), Plan(), 0, None)
    assert shapeless.value.reason == "SHAPE_MISMATCH"


async def test_the_market_moves_every_position_by_its_beta(held: Risk) -> None:
    report = await held.stress(Subject("main"), [Scenario("down", market_shock=-0.1)], 100, "")
    window = returns_of("AAPL", "TSLA", "SPY", days=100)
    market = window[:, 2]
    betas = [np.cov(window[:, k], market)[0, 1] / np.var(market, ddof=1) for k in (0, 1)]
    expected = -0.1 * (1100 * betas[0] - 1000 * betas[1])
    (outcome,) = report.outcomes
    assert outcome.profit == pytest.approx(expected, abs=1e-9)
    assert outcome.fraction == pytest.approx(expected / 2100, abs=1e-12)


async def test_sectors_come_from_the_instruments_and_any_spelling_is_understood(risk: Risk) -> None:
    scenario = Scenario("tech", {"BTC/USD": -0.5}, {"Technology": -0.2})
    subject = Subject("", ("AAPL", "BTCUSDT", "TSLA"), (100.0, 100.0, 100.0))
    (outcome,) = (await risk.stress(subject, [scenario], 0, "")).outcomes
    assert outcome.by_symbol == pytest.approx({"AAPL": -20.0, "BTC-USDT": -50.0, "TSLA": 0.0})


async def test_the_built_in_scenarios_say_which_history_is_missing(held: Risk) -> None:
    outcomes = {outcome.name: outcome for outcome in (await held.stress(Subject(""), [], 0, "")).outcomes}
    assert outcomes["market_down_20"].profit == pytest.approx(2 * outcomes["market_down_10"].profit)
    assert outcomes["largest_position_against_30"].profit == pytest.approx(-330.0)
    assert "AAPL" in outcomes["pandemic_2020"].error
    assert outcomes["pandemic_2020"].by_symbol == {}


async def test_a_stretch_of_history_happens_again(held: Risk) -> None:
    first, last = TODAY - 50, TODAY - 30
    (outcome,) = (await held.stress(Subject(""), [Scenario("again", first_day=first, last_day=last)], 0, "")).outcomes
    change = {name: CLOSES[name][last] / CLOSES[name][first - 1] - 1 for name in ("AAPL", "TSLA")}
    assert outcome.by_symbol == pytest.approx({"AAPL": 1100 * change["AAPL"], "TSLA": -1000 * change["TSLA"]})


async def test_scenarios_that_name_nothing_known_are_refused(held: Risk) -> None:
    with pytest.raises(UnknownSymbol):
        await held.stress(Subject(""), [Scenario("typo", {"AAPLE": -0.1})], 0, "")
    with pytest.raises(InvalidArgument) as refused:
        await held.stress(Subject(""), [Scenario("typo", {}, {"Tehcnology": -0.1})], 0, "")
    assert refused.value.reason == "UNKNOWN_SECTOR"
    with pytest.raises(InvalidArgument):
        await held.stress(Subject(""), [Scenario("x", {"AAPL": 0.1})] * (SCENARIOS_MOST + 1), 0, "")


async def test_a_scenario_without_a_market_says_so_and_the_others_have_their_outcomes(held: Risk) -> None:
    scenarios = [Scenario("down", market_shock=-0.1), Scenario("one", {"AAPL": -0.1})]
    down, one = (await held.stress(Subject(""), scenarios, 0, "QQQ")).outcomes
    assert "QQQ" in down.error
    assert (one.error, one.profit) == ("", pytest.approx(-110.0))
