"""Trade signals: keep the position that a signal asks for, through the same checks as every order."""

from typing import Any

from services.execution.domain.limits import SignalTrading, check_signal_trading
from services.execution.domain.signals import Signal, is_wanted, order_for
from services.execution.domain.submission import Origin, Patience, Wait
from services.execution.ports.controls import Audit, ControlStore
from services.execution.usecases.accounts import Accounts
from services.execution.usecases.background import Background
from services.execution.usecases.blotter import Blotter
from services.execution.usecases.market import Market
from services.execution.usecases.submit import Submit
from trading.clock import Clock
from trading.errors import TradingError
from trading.instruments import Instrument


class TradeSignals:
    """The switch, and what happens to each signal while it is on."""

    def __init__(
        self,
        switch: SignalTrading,
        store: ControlStore,
        submit: Submit,
        blotter: Blotter,
        market: Market,
        accounts: Accounts,
        background: Background,
        clock: Clock,
        log: Any,
    ) -> None:
        self.switch = switch
        self._store = store
        self._submit = submit
        self._blotter = blotter
        self._market = market
        self._accounts = accounts
        self._background = background
        self._clock = clock
        self._log = log

    async def load(self) -> None:
        """Take the switch as it was last set; before that, the settings' own."""
        self.switch = await self._store.signal_trading() or self.switch

    async def set_switch(self, switch: SignalTrading, actor: str) -> SignalTrading:
        """Turn the switch, durably; raises NotFound for an unknown account."""
        check_signal_trading(switch)
        self._accounts.get(switch.account)
        await self._store.set_signal_trading(switch, Audit(actor, self._clock.now_ns()))
        self.switch = switch
        return switch

    async def __call__(self, signal: Signal) -> None:
        """Trade a signal if it is wanted; its order goes its own way in the background."""
        received_ns = self._clock.monotonic_ns()
        switch = self.switch
        if not is_wanted(signal, switch, self._clock.now_ns()):
            return
        try:
            instrument = await self._market.catalogue.get(signal.symbol)
            request = order_for(
                signal, switch, instrument, self._market.mid(instrument.symbol), self._expected(instrument)
            )
            if request is None:
                return
            origin = Origin(received_ns, tick_receive_time_ns=signal.tick_receive_time_ns)
            await self._submit(request, Patience(Wait.NONE), origin)
        except TradingError as error:
            self._log.warning("signal.not_traded", signal=signal.id, reason=error.reason, error=error.message)

    def start(self, signal: Signal) -> None:
        """Trade a signal without holding up the next one; raises ResourceExhausted when too much is under way."""
        self._background.check_room()
        self._background.start(self(signal))

    def _expected(self, instrument: Instrument) -> int:
        holdings = self._blotter.holdings[self.switch.account]
        longest, shortest = holdings.reach(instrument.symbol)
        return longest + shortest - holdings.position(instrument.symbol).quantity_nanos
