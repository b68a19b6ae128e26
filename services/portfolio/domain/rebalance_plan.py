"""Target weights become orders: exact integers, rounded so that neither a lot nor the cash is ever exceeded.

A symbol's wanted quantity is its weight of the equity at the middle of the market. What is already within the drift
band is left alone; the rest is scaled down to the turnover limit, the buys then to the cash that is there and that
the sells bring (sold at the bid, bought at the ask, with a cushion for a market that moves), and each order is
rounded towards zero to whole lots. So a position ends within one lot of its target unless a limit was in the way.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import NamedTuple

from services.portfolio.domain.rebalance import Order, Rules
from trading.errors import AmountOutOfRange, FailedPrecondition, InvalidArgument
from trading.instruments import AssetClass, Instrument
from trading.money import MAX_NANOS, ONE, notional_nanos

_ROUNDING = 1e-9
"""Targets of an optimiser sum to one give or take this."""
_NONE = Fraction(0)
DRIFT_BAND, MIN_TRADE_VALUE, LOT, NO_PRICE = "drift_band", "min_trade_value", "lot", "no_price"
NOT_TRADABLE, CURRENCY = "not_tradable", "currency"


class Touch(NamedTuple):
    """Best prices of a symbol in nanos, both positive."""

    bid_nanos: int
    ask_nanos: int

    @property
    def mid_nanos(self) -> int:
        return (self.bid_nanos + self.ask_nanos) // 2


@dataclass(frozen=True, slots=True)
class Situation:
    """The book and the market that a plan is made from, by canonical symbol; amounts in nanos of one currency."""

    equity_nanos: int
    cash_nanos: int
    currency: str
    held: Mapping[str, int]
    instruments: Mapping[str, Instrument]
    touches: Mapping[str, Touch]
    cushion: Fraction

    def exact_weight(self, symbol: str) -> Fraction:
        """What is held of a symbol as a fraction of equity; 0 without a price."""
        touch = self.touches.get(symbol)
        value = 0 if touch is None else notional_nanos(touch.mid_nanos, self.held.get(symbol, 0))
        return Fraction(value, self.equity_nanos)

    def weight(self, symbol: str) -> float:
        """The same as a float."""
        return float(self.exact_weight(symbol))

    def weights(self) -> dict[str, float]:
        """Weight of everything that is held."""
        return {symbol: self.weight(symbol) for symbol in sorted(self.held)}


class Plan(NamedTuple):
    """Sells first, then buys, by symbol; and what was left alone, with the reason."""

    orders: tuple[Order, ...]
    left_alone: Mapping[str, str]
    turnover: float


def require_rules(rules: Rules, *, has_targets: bool = True) -> None:
    """Raise InvalidArgument for rules that can never be right, by field."""
    if has_targets and not rules.targets:
        raise InvalidArgument("Expected targets.", reason="NO_TARGETS", field="targets")
    _require_targets(rules.targets)
    if not (math.isfinite(rules.drift_band) and 0 <= rules.drift_band <= 1):
        raise InvalidArgument("Expected a drift band of 0-1.", field="drift_band", was=rules.drift_band)
    if rules.min_trade_value_nanos < 0:
        raise InvalidArgument("Expected a value that is not negative.", field="min_trade_value")
    limit = rules.turnover_limit
    if limit is not None and not (math.isfinite(limit) and limit >= 0):
        raise InvalidArgument("Expected a limit that is not negative.", field="turnover_limit", was=limit)


def _require_targets(targets: Mapping[str, float]) -> None:
    for symbol, weight in targets.items():
        if not math.isfinite(weight):
            raise InvalidArgument("Expected finite targets.", field="targets", symbol=symbol)
    total = math.fsum(weight for weight in targets.values() if weight > 0)
    if total > 1 + _ROUNDING:
        raise InvalidArgument(
            f"The targets need {total:.6f} of the equity, which is 1.",
            reason="TARGETS_EXCEED_EQUITY",
            field="targets",
            total=total,
        )


def plan_orders(rules: Rules, situation: Situation) -> Plan:
    """The orders of rules that `require_rules` let pass, whose targets are by canonical symbol.

    Raises FailedPrecondition NO_EQUITY when there is nothing to take weights of, InvalidArgument NOT_SHORTABLE for
    a negative target of what the venue does not lend, AmountOutOfRange for a quantity beyond int64.
    """
    if situation.equity_nanos <= 0:
        raise FailedPrecondition("The account has no equity.", reason="NO_EQUITY", equity_nanos=situation.equity_nanos)
    left_alone: dict[str, str] = {}
    wanted: dict[str, Order] = {}
    for symbol in _symbols(rules, situation):
        reason = _reason(rules, situation, symbol)
        if reason:
            left_alone[symbol] = reason
        else:
            wanted[symbol] = _wanted(rules, situation, symbol)
    limited = _within_turnover(wanted.values(), rules, situation)
    sells = _kept([order for order in limited if order.is_sell], rules, situation, left_alone)
    affordable = _within_cash([order for order in limited if not order.is_sell], sells, situation)
    orders = (*sells, *_kept(affordable, rules, situation, left_alone))
    return Plan(orders, dict(sorted(left_alone.items())), float(_turnover(orders, situation)))


def _kept(orders: list[Order], rules: Rules, situation: Situation, left_alone: dict[str, str]) -> list[Order]:
    """Orders in whole lots, without those that are too small, which are noted."""
    kept = []
    for order in map(partial(_in_lots, situation=situation), orders):
        reason = _too_small(order, rules, situation)
        if reason:
            left_alone[order.symbol] = reason
        else:
            kept.append(order)
    return kept


def _symbols(rules: Rules, situation: Situation) -> list[str]:
    own = () if rules.keep_others else situation.held
    return sorted({*rules.targets, *own})


def _reason(rules: Rules, situation: Situation, symbol: str) -> str:
    """Why a symbol is left alone whatever its trade would be; empty for no reason."""
    instrument, target = situation.instruments.get(symbol), rules.targets.get(symbol, 0.0)
    if instrument is None:
        return NOT_TRADABLE
    if instrument.currency != situation.currency:
        return CURRENCY
    if symbol not in situation.touches:
        return NO_PRICE
    if not instrument.tradable:
        return NOT_TRADABLE
    if target < 0 and not instrument.shortable:
        raise InvalidArgument(f"{symbol} cannot be sold short.", reason="NOT_SHORTABLE", field="targets", symbol=symbol)
    drifted = abs(situation.exact_weight(symbol) - _exact(target))
    return DRIFT_BAND if drifted <= _exact(rules.drift_band) else ""


def _wanted(rules: Rules, situation: Situation, symbol: str) -> Order:
    """The whole trade to the target, before any limit."""
    target, price = rules.targets.get(symbol, 0.0), situation.touches[symbol].mid_nanos
    wanted = int(_exact(target) * situation.equity_nanos * ONE / price)  # towards zero
    return Order(
        symbol=symbol,
        quantity_nanos=wanted - situation.held.get(symbol, 0),
        price_nanos=price,
        weight_before=situation.weight(symbol),
        weight_target=target,
        is_always_open=situation.instruments[symbol].asset_class is AssetClass.CRYPTO,
    )


def _exact(value: float) -> Fraction:
    """A float by its shortest text: 0.3 is three tenths."""
    return Fraction(repr(float(value)))


def _turnover(orders: Iterable[Order], situation: Situation) -> Fraction:
    traded = sum(abs(notional_nanos(order.price_nanos, order.quantity_nanos)) for order in orders)
    return Fraction(traded, situation.equity_nanos)


def _within_turnover(orders: Iterable[Order], rules: Rules, situation: Situation) -> list[Order]:
    found = list(orders)
    turnover = _turnover(found, situation)
    limit = turnover if rules.turnover_limit is None else _exact(rules.turnover_limit)
    return found if turnover <= limit else [_scaled(order, limit / turnover) for order in found]


def _within_cash(buys: list[Order], sells: list[Order], situation: Situation) -> list[Order]:
    """Scale the buys down to what can be paid; a buy that only covers a short is one of them."""
    proceeds = sum((_value(-order.quantity_nanos, situation.touches[order.symbol].bid_nanos) for order in sells), _NONE)
    cost = sum((_value(order.quantity_nanos, situation.touches[order.symbol].ask_nanos) for order in buys), _NONE)
    payable = max(situation.cash_nanos + proceeds * (1 - situation.cushion), _NONE)
    cost *= 1 + situation.cushion
    return buys if cost <= payable else [_scaled(order, payable / cost) for order in buys]


def _value(quantity_nanos: int, price_nanos: int) -> Fraction:
    return Fraction(quantity_nanos * price_nanos, ONE)


def _scaled(order: Order, share: Fraction) -> Order:
    return replace(order, quantity_nanos=int(order.quantity_nanos * share))


def _in_lots(order: Order, situation: Situation) -> Order:
    """Whole lots, rounded towards zero."""
    lot = situation.instruments[order.symbol].lot_nanos
    size = abs(order.quantity_nanos) // lot * lot
    if size > MAX_NANOS:
        raise AmountOutOfRange("The order is beyond ±9.22e9.", symbol=order.symbol, field="targets")
    return replace(order, quantity_nanos=-size if order.is_sell else size)


def _too_small(order: Order, rules: Rules, situation: Situation) -> str:
    size = abs(order.quantity_nanos)
    if size == 0 or size < situation.instruments[order.symbol].min_quantity_nanos:
        return LOT
    return MIN_TRADE_VALUE if abs(notional_nanos(order.price_nanos, size)) < rules.min_trade_value_nanos else ""


def drift(orders: Iterable[Order], before: Mapping[str, float], situation: Situation) -> float:
    """How far book and market have moved since a plan: Σ|weight now − then|, or the largest relative change of a
    price that an order was sized by, whichever is larger; infinite when such a price is gone.
    """
    now = situation.weights()
    moved = math.fsum(abs(now.get(symbol, 0.0) - before.get(symbol, 0.0)) for symbol in {*now, *before})
    changes = [_price_change(order, situation) for order in orders]
    return max([moved, *changes])


def _price_change(order: Order, situation: Situation) -> float:
    touch = situation.touches.get(order.symbol)
    return math.inf if touch is None else abs(touch.mid_nanos / order.price_nanos - 1)
