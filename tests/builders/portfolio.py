"""Nouns of the portfolio for tests, each with a sensible default for everything."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuraltrader.execution.v1 import execution_pb2 as execution
from services.portfolio.domain.account import AccountTerms
from services.portfolio.domain.entries import Acquisition, Charge, Fill, Transfer
from services.portfolio.domain.matrices import Floats
from services.portfolio.domain.optimiser.problem import Constraints, Objective, Problem, given_moments
from services.portfolio.ports import Import
from trading.market import Quote
from trading.money import ONE, parse_nanos
from trading.order import Side

_WIRE_SIDES = {Side.BUY: execution.SIDE_BUY, Side.SELL: execution.SIDE_SELL}


def a_fill(number: int = 1, side: Side = Side.BUY, quantity: str = "10", price: str = "100", **words: Any) -> Fill:
    """Fill `number` of the log; quantity, price and fee as decimals."""
    fee = words.pop("fee", "0")
    named = {
        "event_id": f"event-{number}",
        "account": "main",
        "symbol": "AAPL",
        "currency": "USD",
        "side": side,
        "price_nanos": parse_nanos(price),
        "quantity_nanos": parse_nanos(quantity),
        "fee_nanos": parse_nanos(fee),
        "order_id": f"order-{number}",
        "execution_id": f"execution-{number}",
        "event_time_ns": number * ONE,
        "log_sequence": number * 3,  # other events lie between two fills
    }
    return Fill(**(named | words))


def fill_message(fill: Fill) -> execution.Fill:
    """A fill as execution sends it."""
    return execution.Fill(**(fill._asdict() | {"side": _WIRE_SIDES[fill.side]}))


def fill_event(fill: Fill) -> bytes:
    """The order event that carries a fill, as it lies on the stream."""
    return execution.OrderEvent(
        event_id=fill.event_id,
        kind=execution.ORDER_EVENT_KIND_FILL,
        log_sequence=fill.log_sequence,
        fill=fill_message(fill),
    ).SerializeToString()


def a_charge(number: int = 1, amount: str = "2", **words: Any) -> Charge:
    """Charge `number` of the record, of the account, after the fill of that number."""
    named = {
        "event_id": f"charge-{number}",
        "account": "main",
        "kind": "FEE",
        "symbol": "",
        "currency": "USD",
        "amount_nanos": parse_nanos(amount),
        "quantity_nanos": 0,
        "event_time_ns": number * ONE,
        "receive_time_ns": number * ONE,
        "sequence": number,
        "log_sequence": number * 3,
    }
    return Charge(**(named | words))


def a_transfer(number: int = 1, amount: str = "500", **words: Any) -> Transfer:
    """Transfer `number`, in when positive."""
    named = {
        "event_id": f"transfer-event-{number}",
        "account": "main",
        "transfer_id": f"transfer-{number}",
        "currency": "USD",
        "amount_nanos": parse_nanos(amount),
        "note": "",
        "event_time_ns": number * ONE,
        "receive_time_ns": number * ONE,
        "fingerprint": f"fingerprint-{number}",
    }
    return Transfer(**(named | words))


def an_acquisition(number: int = 1, quantity: str = "10", price: str = "100", **words: Any) -> Acquisition:
    """Line `number` of an import; it was worth what it cost."""
    named = {
        "event_id": f"acquisition-{number}",
        "account": "main",
        "import_id": "import-1",
        "symbol": "AAPL",
        "currency": "USD",
        "quantity_nanos": parse_nanos(quantity),
        "price_nanos": parse_nanos(price),
        "takes_cash": False,
        "value_nanos": parse_nanos(quantity) * parse_nanos(price) // ONE,
        "event_time_ns": number * ONE,
        "sequence": 0,
        "log_sequence": 0,
    }
    return Acquisition(**(named | words))


def an_import(*lines: Acquisition, **words: Any) -> Import:
    """The import of these lines."""
    named = {
        "account": lines[0].account,
        "import_id": lines[0].import_id,
        "fingerprint": "fingerprint",
        "receive_time_ns": ONE,
        "acquisitions": lines,
    }
    return Import(**(named | words))


def charge_message(charge: Charge) -> execution.Charge:
    """A charge as execution sends it."""
    words = charge._asdict()
    kind = execution.ChargeKind.Value(f"CHARGE_KIND_{words.pop('kind')}")
    return execution.Charge(charge_id=words.pop("event_id"), kind=kind, **words)


def some_terms(account: str = "main", opening: str = "100000", **words: Any) -> AccountTerms:
    """What execution says of an account; opening cash as a decimal."""
    named = {
        "id": account,
        "venue": "alpaca",
        "currency": "USD",
        "trading_state": "ACTIVE",
        "opening_cash_nanos": parse_nanos(opening),
        "buying_power_nanos": parse_nanos("400000"),
    }
    return AccountTerms(**(named | words))


def a_quote(symbol: str = "AAPL", bid: str = "110", ask: str = "112", receive_time_ns: int = 1) -> Quote:
    """A quote of one unit on each side."""
    return Quote(symbol, parse_nanos(bid), ONE, parse_nanos(ask), ONE, receive_time_ns, receive_time_ns, "alpaca")


def names(count: int) -> tuple[str, ...]:
    """S0, S1, …"""
    return tuple(f"S{index}" for index in range(count))


def some_moments(count: int, seed: int = 7, scale: float = 1.0) -> tuple[Floats, Floats]:
    """Expected returns and a covariance of full rank, annual, multiplied by `scale`."""
    random = np.random.default_rng(seed)
    loadings = random.normal(0.15, 0.08, (count, 3))
    covariance = loadings @ loadings.T + np.diag(random.uniform(0.01, 0.06, count))
    expected = random.uniform(0.03, 0.18, count)
    return expected * scale, covariance * scale


def a_problem(
    expected_returns: Sequence[float] | Floats | None = None,
    covariance: Sequence[Sequence[float]] | Floats | None = None,
    objective: Objective = Objective.MAX_SHARPE,
    **words: Any,
) -> Problem:
    """A problem over S0, S1, …; words that are not the problem's own are its constraints'."""
    own = {
        "risk_free_rate": words.pop("risk_free_rate", 0.02),
        "risk_aversion": words.pop("risk_aversion", 5.0),
        "target_return": words.pop("target_return", None),
        "current": words.pop("current", None),
        "target_risk": words.pop("target_risk", None),
        "beta": words.pop("beta", 0.95),
        "turnover_cost": words.pop("turnover_cost", 0.0),
        "returns": words.pop("returns", None),
        "risk_budgets": words.pop("risk_budgets", {}),
    }
    drawn = some_moments(words.pop("count", 5), words.pop("seed", 7), words.pop("scale", 1.0))
    mu = np.asarray(drawn[0] if expected_returns is None else expected_returns, dtype=np.float64)
    sigma = np.asarray(drawn[1] if covariance is None else covariance, dtype=np.float64)
    symbols = names(len(mu))
    return Problem(symbols, given_moments(mu, sigma, symbols), objective, constraints=Constraints(**words), **own)
