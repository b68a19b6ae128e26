"""Run by the Python of nautilus_trader's environment: market orders through its engine and simulated exchange.

Everything is one process and one thread, nothing is written down: submit to the exchange's first word, and the
memory of orders.
"""

import json
import resource
import statistics
import sys
import time
from decimal import Decimal

import nautilus_trader
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class OneOrderATick(Strategy):
    """Submits a market order at each quote and takes the time to the exchange's first word."""

    def __init__(self, instrument_id):
        super().__init__(StrategyConfig())
        self.instrument_id = instrument_id
        self.one = Quantity(Decimal(1), 0)
        self.began_ns = 0
        self.samples = []

    def on_start(self):
        self.subscribe_quote_ticks(self.instrument_id)

    def on_quote_tick(self, tick):
        side = OrderSide.BUY if len(self.samples) % 2 == 0 else OrderSide.SELL
        order = self.order_factory.market(self.instrument_id, side, self.one)
        self.began_ns = time.perf_counter_ns()
        self.submit_order(order)

    def on_order_accepted(self, event):
        self._answered()

    def on_order_filled(self, event):
        self._answered()

    def _answered(self):
        """The exchange's first word on the order; a market order may be filled without an acceptance."""
        if self.began_ns:
            self.samples.append((time.perf_counter_ns() - self.began_ns) / 1e3)
            self.began_ns = 0


def main(count: int) -> None:
    config = BacktestEngineConfig(trader_id=TraderId("BENCH-001"), logging=LoggingConfig(log_level="ERROR"))
    engine = BacktestEngine(config)
    instrument = TestInstrumentProvider.equity("AAPL", "XNAS")
    engine.add_venue(Venue("XNAS"), OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USD)], base_currency=USD)
    engine.add_instrument(instrument)
    size, bid, ask = Quantity(Decimal(200), 0), Price(100, 2), Price(100.01, 2)
    engine.add_data(
        [QuoteTick(instrument.id, bid, ask, size, size, at * 10**6, at * 10**6) for at in range(1, count + 1)]
    )
    strategy = OneOrderATick(instrument.id)
    engine.add_strategy(strategy)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    orders = engine.cache.orders_total_count()
    print(
        json.dumps(
            {
                "version": nautilus_trader.__version__,
                "orders": orders,
                "submit_us": round(statistics.median(strategy.samples), 1),
                "orders_per_s": round(orders / seconds),
                "bytes_per_order": round(grown_kb * 1024 / orders),
            }
        )
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
