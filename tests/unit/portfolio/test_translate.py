"""Between the wire and the words of the trade."""

import numpy as np
import pytest
from builders.portfolio import a_fill, fill_event, fill_message, some_terms

from neuraltrader.execution.v1 import execution_pb2 as execution
from neuraltrader.execution.v1 import execution_service_pb2 as execution_calls
from neuraltrader.portfolio.v1 import portfolio_service_pb2 as pb
from neuraltrader.portfolio.v1 import risk_service_pb2 as risk_pb
from services.portfolio.domain.account import AccountValue, BookTotals, PositionChange, value_position
from services.portfolio.domain.ledger import Ledger
from services.portfolio.domain.optimiser.problem import MinPositionKind, Objective
from services.portfolio.domain.risk import PositionKind
from services.portfolio.domain.simulation import Method, Plan
from services.portfolio.translate import book, executed, optimisation, risk
from trading.errors import AmountOutOfRange, InvalidArgument
from trading.money import ONE
from trading.order import Side


def test_a_fill_event_becomes_the_fill_it_carries() -> None:
    fill = a_fill(7, Side.SELL, "0.5", "123.45", fee="0.01", symbol="BRK.B")
    assert executed.fill_of_event(fill_event(fill)) == fill


def test_another_event_carries_no_fill() -> None:
    event = execution.OrderEvent(event_id="e", kind=execution.ORDER_EVENT_KIND_ACCEPTED)
    assert executed.fill_of_event(event.SerializeToString()) is None


def test_bytes_that_are_no_event_are_refused() -> None:
    with pytest.raises(InvalidArgument):
        executed.fill_of_event(b"\xff\xff\xff")


@pytest.mark.parametrize(
    "words",
    [
        {"event_id": ""},
        {"account": ""},
        {"symbol": ""},
        {"currency": ""},
        {"side": execution.SIDE_UNSPECIFIED},
        {"quantity_nanos": 0},
        {"price_nanos": -1},
    ],
)
def test_a_fill_without_what_the_book_needs_is_refused(words: dict[str, object]) -> None:
    message = fill_message(a_fill())
    for name, value in words.items():
        setattr(message, name, value)
    with pytest.raises(InvalidArgument):
        executed.fill_of(message)


def test_terms_carry_the_kill_switch_by_name() -> None:
    message = execution_calls.Account(
        id="main", venue="alpaca", currency="USD", trading_state=execution.TRADING_STATE_HALTED,
        opening_cash_nanos=100_000 * ONE, buying_power_nanos=400_000 * ONE,
    )  # fmt: skip
    assert executed.terms_of(message) == some_terms(trading_state="HALTED")


def test_money_is_split_into_units_and_nanos_of_one_sign() -> None:
    money = book.money_message("USD", -1_500_000_000)
    assert (money.currency, money.units, money.nanos) == ("USD", -1, -500_000_000)


def test_a_change_carries_the_position_its_cause_and_the_cash() -> None:
    position = Ledger().post(a_fill(quantity="10", price="100", fee="1"))
    change = PositionChange(position, "event-1", 4, -1001 * ONE)
    message = book.change_message(change, value_position(position, {"AAPL": 110 * ONE}), 8999 * ONE)
    assert (message.event_id, message.account_sequence, message.cash.units) == ("event-1", 4, 8999)
    told = message.position
    assert (told.quantity_nanos, told.avg_price_nanos, told.mark_price_nanos) == (10 * ONE, 100 * ONE, 110 * ONE)
    assert (told.market_value.units, told.unrealized_pnl.units, told.fees.units) == (1100, 100, 1)


def test_a_position_beyond_the_wires_range_is_refused_by_name() -> None:
    ledger = Ledger()
    for number in range(3):
        position = ledger.post(a_fill(number, quantity="9000000000"))
    with pytest.raises(AmountOutOfRange):
        book.position_message(value_position(position, {}))


def test_an_account_is_told_with_its_exact_sums() -> None:
    value = AccountValue(some_terms(), BookTotals("main", 3, 9, 3), 99_000 * ONE, 100_100 * ONE, 100 * ONE)
    message = book.account_message(value)
    assert (message.id, message.venue, message.currency, message.trading_state) == ("main", "alpaca", "USD", "ACTIVE")
    assert (message.cash.units, message.equity.units, message.day_pnl.units) == (99_000, 100_100, 100)
    assert (message.buying_power.units, message.log_sequence, message.fill_count) == (400_000, 9, 3)


def a_request(**words: object) -> pb.OptimizeRequest:
    named = {"symbols": ["A", "B"], "expected_returns": [0.1, 0.2], "covariance_f64le": np.eye(2).tobytes()}
    return pb.OptimizeRequest(**(named | words))  # type: ignore[arg-type]


def test_an_unsaid_option_has_its_documented_default() -> None:
    problem = optimisation.problem_of(a_request())
    assert (problem.objective, problem.risk_free_rate, problem.risk_aversion) == (Objective.MAX_SHARPE, 0.02, 5.0)
    constraints = problem.constraints
    assert (constraints.max_position_size, constraints.min_position_size) == (1.0, 0.0)
    assert constraints.min_position_kind is MinPositionKind.SEMICONTINUOUS
    assert constraints.turnover_limit is None
    assert not constraints.allow_cash
    assert problem.current is None


def test_said_options_are_kept_even_when_they_are_zero() -> None:
    request = a_request(risk_free_rate=0.0, objective=pb.OBJECTIVE_TARGET_RETURN, target_return=0.0)
    request.constraints.turnover_limit = 0.0
    request.constraints.min_position_kind = pb.MIN_POSITION_KIND_HARD
    request.current_positions["B"] = 0.25
    problem = optimisation.problem_of(request)
    assert (problem.risk_free_rate, problem.target_return, problem.constraints.turnover_limit) == (0.0, 0.0, 0.0)
    assert problem.constraints.min_position_kind is MinPositionKind.HARD
    assert problem.held.tolist() == [0.0, 0.25]


def test_returns_become_annual_moments() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (30, 2))
    request = a_request(expected_returns=[], covariance_f64le=b"", returns_f64le=returns.tobytes(), periods_per_year=12)
    moments = optimisation.problem_of(request).moments
    assert moments.expected_returns == pytest.approx(returns.mean(axis=0) * 12)
    assert moments.covariance == pytest.approx(np.cov(returns.T) * 12)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ({"symbols": []}, "SHAPE_MISMATCH"),
        ({"symbols": ["A", "A"]}, "DUPLICATE_SYMBOL"),
        ({"expected_returns": [0.1]}, "SHAPE_MISMATCH"),
        ({"covariance_f64le": np.eye(3).tobytes()}, "SHAPE_MISMATCH"),
        ({"covariance_f64le": b"123"}, "SHAPE_MISMATCH"),
        ({"covariance_f64le": np.ones((4, 2)).tobytes()}, "SHAPE_MISMATCH"),
        ({"covariance_f64le": b""}, "SHAPE_MISMATCH"),
        ({"expected_returns": [0.1, float("nan")]}, "NOT_FINITE"),
        ({"covariance_f64le": np.array([[1.0, np.inf], [np.inf, 1.0]]).tobytes()}, "NOT_FINITE"),
        ({"covariance_f64le": np.array([[1.0, 0.5], [0.4, 1.0]]).tobytes()}, "NOT_SYMMETRIC"),
        ({"returns_f64le": np.ones((3, 2)).tobytes()}, "INVALID_ARGUMENT"),
        ({"objective": 99}, "INVALID_ARGUMENT"),
        ({"current_positions": {"Z": 0.1}}, "UNKNOWN_SYMBOL"),
        ({"current_positions": {"A": float("nan")}}, "NOT_FINITE"),
        ({"constraints": pb.Constraints(min_position_kind=9)}, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_no_problem_is_refused_by_name(words: dict[str, object], code: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        optimisation.problem_of(a_request(**words))
    assert refused.value.reason == code


@pytest.mark.parametrize(
    ("words", "code"),
    [({"returns_f64le": np.ones((1, 2)).tobytes()}, "SHAPE_MISMATCH"), ({"periods_per_year": -1}, "INVALID_ARGUMENT")],
)
def test_returns_that_make_no_moments_are_refused(words: dict[str, object], code: str) -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (30, 2)).tobytes()
    named = {"expected_returns": [], "covariance_f64le": b"", "returns_f64le": returns}
    with pytest.raises(InvalidArgument) as refused:
        optimisation.problem_of(a_request(**(named | words)))
    assert refused.value.reason == code


def test_a_covariance_that_differs_by_rounding_is_made_symmetric() -> None:
    covariance = np.array([[1.0, 0.5], [0.5 + 1e-13, 1.0]])
    moments = optimisation.problem_of(a_request(covariance_f64le=covariance.tobytes())).moments
    assert moments.covariance[0, 1] == moments.covariance[1, 0]


def test_a_risk_question_carries_what_it_was_asked() -> None:
    returns = np.random.default_rng(1).normal(0, 0.01, (30, 2))
    request = pb.CalculateRiskRequest(symbols=["A", "SPY"], positions=[1, 2], returns_f64le=returns.tobytes())
    asked = risk.risk_request_of(request)
    assert asked.kind is PositionKind.WEIGHTS
    assert asked.market is None
    assert asked.returns is not None
    assert (asked.returns == returns).all()
    assert (asked.risk_free_rate, asked.periods_per_year, asked.window_days) == (0.02, 252.0, 0)
    request.market_returns_f64le = returns[:, 0].tobytes()
    request.position_kind = pb.POSITION_KIND_NOTIONAL
    asked = risk.risk_request_of(request)
    assert asked.market is not None
    assert (asked.market == returns[:, 0]).all()
    assert asked.kind is PositionKind.NOTIONAL


def test_a_risk_question_without_returns_needs_a_window_or_an_account() -> None:
    with pytest.raises(InvalidArgument):
        risk.risk_request_of(pb.CalculateRiskRequest(symbols=["A"], positions=[1]))
    window = pb.CalculateRiskRequest(symbols=["A"], positions=[1], window=pb.ReturnsWindow(days=20))
    assert (risk.risk_request_of(window).returns, risk.risk_request_of(window).window_days) == (None, 20)
    assert risk.risk_request_of(pb.CalculateRiskRequest(account="main")).account == "main"


def test_an_unknown_position_kind_or_method_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        risk.risk_request_of(pb.CalculateRiskRequest(symbols=["A"], positions=[1], position_kind=7))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument):
        risk.plan_of(risk_pb.SimulateLossesRequest(method=7))  # type: ignore[arg-type]


def test_a_plan_has_its_defaults() -> None:
    assert risk.plan_of(risk_pb.SimulateLossesRequest()) == Plan()
    asked = risk_pb.SimulateLossesRequest(
        method=risk_pb.SIMULATION_METHOD_STUDENT_T, horizon_days=5, paths=500, seed=-3, degrees_of_freedom=3
    )
    assert risk.plan_of(asked) == Plan(Method.STUDENT_T, 5, 500, -3, 3.0)


def test_a_scenario_is_shocks_or_both_ends_of_a_stretch() -> None:
    shocks = risk.scenario_of(risk_pb.StressScenario(name="a", symbol_shocks={"AAPL": -0.1}, market_shock=0.0))
    assert (dict(shocks.symbol_shocks), shocks.market_shock, shocks.is_history) == ({"AAPL": -0.1}, 0.0, False)
    stretch = risk.scenario_of(risk_pb.StressScenario(name="b", history_start="1970-01-02", history_end="1970-01-05"))
    assert (stretch.first_day, stretch.last_day, stretch.market_shock) == (1, 4, None)
    with pytest.raises(InvalidArgument):
        risk.scenario_of(risk_pb.StressScenario(name="c", history_start="1970-01-02"))
