"""Close every position of an account by orders to market."""

from typing import Any

from services.execution.domain.position import Position
from services.execution.domain.request import OrderRequest
from services.execution.domain.submission import Origin, Patience, Wait
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.market import Market
from services.execution.usecases.submit import Submit
from trading.clock import Clock
from trading.errors import TradingError
from trading.ids import AccountId, new_id
from trading.order import OrderStatus, OrderType, Side

_PATIENCE = Patience(Wait.ACCEPTED, 2.0)


class Flatten:
    """Reduce-only orders through the same checks as every other; what cannot be closed is logged and left."""

    def __init__(self, market: Market, blotter: Blotter, submit: Submit, clock: Clock, log: Any) -> None:
        self._market = market
        self._blotter = blotter
        self._submit = submit
        self._clock = clock
        self._log = log

    async def __call__(self, account: AccountId) -> int:
        """Submit the closing orders of an account and wait for the venue's answers; returns how many were sent."""
        held = {name: each for name, each in self._blotter.holdings[account].positions.items() if each.quantity_nanos}
        return sum([await self._close(account, symbol, position) for symbol, position in sorted(held.items())])

    async def _close(self, account: AccountId, symbol: str, position: Position) -> bool:
        try:
            instrument = await self._market.catalogue.get(symbol)
            quantity = abs(position.quantity_nanos)
            request = OrderRequest(
                symbol=symbol,
                side=Side.SELL if position.quantity_nanos > 0 else Side.BUY,
                order_type=OrderType.MARKET,
                quantity_nanos=quantity - quantity % instrument.lot_nanos,
                account=account,
                client_order_id=f"flatten-{new_id()}",
                reduce_only=True,
            )
            outcome = await self._submit(request, _PATIENCE, Origin(self._clock.monotonic_ns()))
        except TradingError as error:
            self._log.error("flatten.not_closed", account=account, symbol=symbol, error=error.message)
            return False
        if outcome.order.status is OrderStatus.DENIED:
            self._log.error("flatten.denied", account=account, symbol=symbol, reason=outcome.order.reason)
        return outcome.order.status is not OrderStatus.DENIED
