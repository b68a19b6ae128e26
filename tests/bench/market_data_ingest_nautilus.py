"""Run by the Python of nautilus_trader's environment: quotes through its backtest engine to a strategy."""

import json
import sys
import time
from decimal import Decimal

import nautilus_trader
from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.config import BacktestEngineConfig, LoggingConfig, StrategyConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick
from nautilus_trader.model.enums import AccountType, OmsType
from nautilus_trader.model.identifiers import TraderId, Venue
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.test_kit.providers import TestInstrumentProvider
from nautilus_trader.trading.strategy import Strategy


class Counter(Strategy):
    """Subscribes to quotes and counts them."""

    def __init__(self, instrument_id):
        super().__init__(StrategyConfig())
        self.instrument_id = instrument_id
        self.ticks = 0

    def on_start(self):
        self.subscribe_quote_ticks(self.instrument_id)

    def on_quote_tick(self, tick):
        self.ticks += 1


def main(count: int) -> None:
    config = BacktestEngineConfig(trader_id=TraderId("BENCH-001"), logging=LoggingConfig(log_level="ERROR"))
    engine = BacktestEngine(config)
    instrument = TestInstrumentProvider.equity("AAPL", "XNAS")
    engine.add_venue(Venue("XNAS"), OmsType.NETTING, AccountType.CASH, [Money(1_000_000, USD)], base_currency=USD)
    engine.add_instrument(instrument)
    size = Quantity(Decimal(200), 0)
    prices = [Price(100 + at / 100, 2) for at in range(100)]
    quotes = [
        QuoteTick(instrument.id, prices[at % 99], prices[at % 99 + 1], size, size, (at + 1) * 1000, (at + 1) * 1000)
        for at in range(count)
    ]
    engine.add_data(quotes)
    strategy = Counter(instrument.id)
    engine.add_strategy(strategy)
    began = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - began
    assert strategy.ticks == count
    print(json.dumps({"version": nautilus_trader.__version__, "value": round(count / seconds)}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
