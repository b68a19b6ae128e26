"""Risk by its definitions, against another way of computing each."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog
from servers import SHARED_DATA

from services.portfolio.domain.matrices import Refusal
from services.portfolio.domain.risk import (
    PositionKind,
    RiskQuestion,
    conditional_value_at_risk,
    market_of,
    max_drawdown,
    measure,
    require_answerable,
    value_at_risk,
)
from trading.errors import InvalidArgument

EQUITIES = SHARED_DATA / "us-equities-daily-adjusted.parquet"
series = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=120).map(np.array)


def a_question(periods: int = 252, seed: int = 1, **words: object) -> RiskQuestion:
    random = np.random.default_rng(seed)
    returns = random.normal(0.0005, 0.012, (periods, 3))
    named = {
        "symbols": ("AAPL", "TSLA", "SPY"),
        "positions": np.array([0.5, -0.2, 0.4]),
        "kind": PositionKind.WEIGHTS,
        "returns": returns,
        "market": returns[:, 2],
    }
    return RiskQuestion(**(named | words))  # type: ignore[arg-type]


@pytest.mark.parametrize("periods", [*range(2, 45), 60, 140, 252, 1000])
def test_value_at_risk_is_the_loss_at_the_exact_rank(periods: int) -> None:
    returns = np.random.default_rng(periods).permutation(np.arange(periods, dtype=float))
    rank = next(k for k in range(1, periods + 1) if 20 * k >= periods)
    assert value_at_risk(returns) == -(rank - 1)


@given(series)
def test_conditional_value_at_risk_is_the_optimum_of_rockafellar_and_uryasev(returns: np.ndarray) -> None:
    """CVaR = min over a of a + Σ max(loss − a, 0) / (0.05·T); the minimum lies at one of the losses."""
    losses = -returns
    best = min(a + np.maximum(losses - a, 0).sum() / (0.05 * len(losses)) for a in losses)
    assert conditional_value_at_risk(returns) == pytest.approx(best, abs=1e-9)


def test_conditional_value_at_risk_equals_a_linear_program() -> None:
    losses = -np.random.default_rng(3).normal(0, 0.02, 53)
    count = len(losses)
    cost = np.concatenate(([1.0], np.full(count, 1 / (0.05 * count))))
    rows = np.hstack((-np.ones((count, 1)), -np.eye(count)))
    answer = linprog(cost, A_ub=rows, b_ub=-losses, bounds=[(None, None)] + [(0, None)] * count)
    assert conditional_value_at_risk(-losses) == pytest.approx(answer.fun, abs=1e-9)


@given(series)
def test_the_tail_is_never_better_than_its_edge(returns: np.ndarray) -> None:
    assert conditional_value_at_risk(returns) >= value_at_risk(returns) - 1e-12


@given(series)
def test_the_drawdown_is_the_worst_pair_of_a_peak_and_a_later_trough(returns: np.ndarray) -> None:
    curve = [1.0]
    for value in returns:
        curve.append(curve[-1] * (1 + value))
    worst = max(1 - curve[j] / curve[i] for i in range(len(curve)) for j in range(i, len(curve)))
    assert max_drawdown(returns) == pytest.approx(worst, abs=1e-9)


def assert_agrees_with_plain_python(question: RiskQuestion) -> None:
    report, year, rate = measure(question), question.periods_per_year, question.risk_free_rate
    rows = [sum(w * r for w, r in zip(question.positions, row, strict=True)) for row in question.returns]
    count = len(rows)
    mean = math.fsum(rows) / count
    variance = math.fsum((r - mean) ** 2 for r in rows) / (count - 1)
    deviation = math.sqrt(variance)
    market = list(question.market)  # type: ignore[arg-type]
    center = math.fsum(market) / count
    spread = math.fsum((m - center) ** 2 for m in market) / (count - 1)
    together = math.fsum((r - mean) * (m - center) for r, m in zip(rows, market, strict=True)) / (count - 1)
    gaps = [r - m for r, m in zip(rows, market, strict=True)]
    gap = math.fsum(gaps) / count
    down = math.sqrt(math.fsum(min(r - rate / year, 0) ** 2 for r in rows) / count)
    score = stats.norm.ppf(0.95)
    expected = {
        "var_95_gaussian": score * deviation - mean,
        "cvar_95_gaussian": stats.norm.pdf(score) / 0.05 * deviation - mean,
        "beta": together / spread,
        "correlation": together / math.sqrt(spread) / deviation,
        "volatility": math.sqrt(year) * deviation,
        "annual_return": year * mean,
        "sharpe_ratio": (year * mean - rate) / (math.sqrt(year) * deviation),
        "sortino_ratio": (year * mean - rate) / (math.sqrt(year) * down),
        "tracking_error": math.sqrt(year * math.fsum((g - gap) ** 2 for g in gaps) / (count - 1)),
        "var_95": sorted(-r for r in rows)[-math.ceil(count / 20)],
    }
    for name, value in expected.items():
        assert getattr(report, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert report.observations == count


@pytest.mark.parametrize("periods", [2, 19, 21, 252, 1000])
def test_every_figure_agrees_with_plain_python(periods: int) -> None:
    assert_agrees_with_plain_python(a_question(periods, seed=periods))


@pytest.mark.skipif(not EQUITIES.exists(), reason="The shared market data is not on this machine.")
def test_every_figure_agrees_with_plain_python_on_real_equities() -> None:
    import polars

    table = polars.read_parquet(EQUITIES)
    closes = _closes(table)
    returns = closes[1:] / closes[:-1] - 1
    assert len(returns) > 1000
    count = returns.shape[1]
    question = a_question(
        symbols=tuple(f"S{i}" for i in range(count)),
        positions=np.full(count, 1 / count),
        returns=returns,
        market=returns[:, 0],
    )
    assert_agrees_with_plain_python(question)


def _closes(table: object) -> np.ndarray:
    wide = table.pivot(on="symbol", index="date", values="close").drop_nulls().sort("date")  # type: ignore[attr-defined]
    return wide.drop("date").to_numpy().astype(float)


def test_notional_positions_give_value_at_risk_in_money_and_the_same_ratios() -> None:
    weights, money = a_question(), a_question(kind=PositionKind.NOTIONAL, positions=np.array([500.0, -200.0, 400.0]))
    fraction, sums = measure(weights), measure(money)
    assert sums.var_95 == pytest.approx(1000 * fraction.var_95)
    assert sums.cvar_95_gaussian == pytest.approx(1000 * fraction.cvar_95_gaussian)
    gross = measure(a_question(positions=np.array([500.0, -200.0, 400.0]) / 1100))
    assert (sums.volatility, sums.sharpe_ratio) == pytest.approx((gross.volatility, gross.sharpe_ratio))


def test_value_at_risk_scales_with_the_position() -> None:
    one, ten = measure(a_question()), measure(a_question(positions=np.array([5.0, -2.0, 4.0])))
    assert ten.var_95 == pytest.approx(10 * one.var_95)


def test_nothing_held_risks_nothing() -> None:
    report = measure(a_question(kind=PositionKind.NOTIONAL, positions=np.zeros(3)))
    assert (report.var_95, report.cvar_95, report.volatility, report.max_drawdown) == (0, 0, 0, 0)
    assert report.sharpe_ratio is None
    assert report.correlation is None


def test_a_constant_return_has_no_ratios() -> None:
    report = measure(a_question(returns=np.full((60, 3), 0.001), market=None, positions=np.array([0.1, 0.2, 0.7])))
    assert (report.volatility, report.sharpe_ratio, report.beta, report.tracking_error) == (0, None, None, None)


def test_a_market_that_does_not_move_has_no_beta() -> None:
    report = measure(a_question(market=np.full(252, 0.01)))
    assert (report.beta, report.correlation) == (None, None)
    assert report.tracking_error == pytest.approx(report.volatility)


def test_the_default_benchmark_is_the_spy_column_when_it_is_there() -> None:
    question = a_question()
    market = market_of(question.symbols, question.returns, "")
    assert market is not None
    assert (market == question.returns[:, 2]).all()
    assert market_of(("AAPL", "TSLA"), question.returns[:, :2], "") is None


def test_a_named_benchmark_must_be_among_the_symbols() -> None:
    question = a_question()
    with pytest.raises(InvalidArgument) as refused:
        market_of(question.symbols, question.returns, "QQQ")
    assert refused.value.reason == "UNKNOWN_SYMBOL"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"symbols": ("AAPL", "AAPL", "SPY")}, "DUPLICATE_SYMBOL"),
        ({"symbols": ()}, "SHAPE_MISMATCH"),
        ({"positions": np.ones(2)}, "SHAPE_MISMATCH"),
        ({"returns": np.ones((252, 2))}, "SHAPE_MISMATCH"),
        ({"returns": np.ones((1, 3))}, "SHAPE_MISMATCH"),
        ({"market": np.ones(251)}, "SHAPE_MISMATCH"),
        ({"positions": np.array([0.1, np.nan, 0.2])}, "NOT_FINITE"),
        ({"returns": np.full((252, 3), np.inf)}, "NOT_FINITE"),
        ({"market": np.full(252, np.nan)}, "NOT_FINITE"),
        ({"periods_per_year": 0.0}, "INVALID_ARGUMENT"),
        ({"risk_free_rate": math.nan}, "INVALID_ARGUMENT"),
    ],
)
def test_a_question_without_an_answer_is_refused_by_name(words: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        require_answerable(a_question(**words))
    assert refused.value.reason == code


def test_a_refusal_says_where_the_first_bad_number_is() -> None:
    returns = a_question().returns.copy()
    returns[7, 1] = np.nan
    with pytest.raises(Refusal) as refused:
        require_answerable(a_question(returns=returns))
    assert refused.value.numbers == {"first_at": [7, 1], "count": 1, "value": "nan"}


def test_a_whole_question_passes() -> None:
    require_answerable(a_question())


def test_a_curve_that_reached_zero_falls_no_deeper_by_a_gain() -> None:
    # 1 → 2 → 2 − 2.4 × 2: a debt of 2.8, which a gain of 40 % would make a larger one
    assert max_drawdown(np.array([1.0, -2.4, 0.4])) == pytest.approx(2.4)
    assert max_drawdown(np.array([0.5, -1.0, 0.2])) == 1.0


def test_no_loss_at_all_is_zero_without_a_sign() -> None:
    report = measure(a_question(positions=np.zeros(3)))
    assert [str(report.var_95), str(report.cvar_95)] == ["0.0", "0.0"]
