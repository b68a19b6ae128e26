"""Lets orders in: what an order would cost, and every check that may refuse it."""

from dataclasses import dataclass

from services.paper_venue.domain.account import Account
from services.paper_venue.domain.checks import (
    check_buying_power,
    check_fields,
    check_position,
    check_tradable,
    check_wash_trade,
)
from services.paper_venue.domain.matching import MatchingEngine
from services.paper_venue.domain.orders import OrderRequest
from trading.errors import FailedPrecondition, InvalidArgument
from trading.instruments import Instrument
from trading.money import ONE


@dataclass(frozen=True, slots=True)
class Admission:
    """Checks requests against the market as the engine sees it, and the account."""

    engine: MatchingEngine
    account: Account

    def check_words(self, request: OrderRequest, instrument: Instrument) -> None:
        """What needs no money; raises InvalidArgument or FailedPrecondition."""
        check_tradable(instrument, self.engine.is_halted(request.symbol))
        check_fields(request, instrument)

    def check_wash_trade(self, request: OrderRequest, price: int) -> None:
        """Refuse what could trade with the account's own orders; raises FailedPrecondition."""
        check_wash_trade(request, price, self.engine.best_resting(request.symbol, request.side.opposite))

    def check_means(self, request: OrderRequest, quantity: int, price: int, instrument: Instrument) -> None:
        """Refuse what the account cannot sell or pay for; raises FailedPrecondition."""
        check_position(request, quantity, instrument, self.account)
        check_buying_power(request, quantity, price, instrument, self.account)

    def quantity_of(self, request: OrderRequest, instrument: Instrument) -> int:
        """How much is asked for: stated, or what a sum of money buys at the touch, rounded down to the lot."""
        if request.quantity_nanos:
            return request.quantity_nanos
        price = self.engine.estimate(instrument.symbol, request.side, 1)
        if not price:
            raise FailedPrecondition("notional orders need a quote", reason="NO_QUOTE", symbol=instrument.symbol)
        quantity = (request.notional_nanos or 0) * ONE // price
        quantity -= quantity % instrument.lot_nanos
        if quantity <= 0:
            raise InvalidArgument("notional is too small", field="notional")
        return quantity

    def price_of(self, request: OrderRequest, quantity: int) -> int:
        """What a unit may cost at worst: the limit, else the stop, else what the touch asks for this quantity."""
        stated = request.limit_nanos or request.stop_nanos
        return stated or self.engine.estimate(request.symbol, request.side, quantity)
