"""An account's rebalances over one SQLite file, with an execution that fills at once."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import structlog
from builders.portfolio_desk import BookDesk, book_desk
from fakes.portfolio import FakeOrders, FakeRebalanceEvents

from services.portfolio.adapters.sql_rebalances import SqlRebalances
from services.portfolio.adapters.sql_schedules import SqlSchedules
from services.portfolio.domain.rebalance import Rebalance, Rules
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.execute_rebalance import CancelRebalance, ExecuteRebalance, FindRebalance
from services.portfolio.usecases.propose_rebalance import ProposeRebalance
from services.portfolio.usecases.run_rebalances import RunRebalances
from services.portfolio.usecases.run_schedules import KeepSchedules, RunSchedules
from services.portfolio.usecases.survey import Survey

LOG = structlog.get_logger()
RULES = Rules("main", {"MSFT": 0.5})


class RebalanceDesk(BookDesk):
    """A book, its rebalances, and an execution that fills at once."""

    def __init__(self, book: BookDesk) -> None:
        super().__init__(book.database, book.book)
        database = book.database
        self.rebalances, self.schedules = SqlRebalances(database), SqlSchedules(database)
        self.orders, self.events = FakeOrders(), FakeRebalanceEvents()
        self.called, self.untold = asyncio.Event(), asyncio.Event()
        self.changes = Changes(self.called, self.untold)
        self.found_targets: Mapping[str, float] = {"AAPL": 0.25}
        self.asked_targets: list[bytes] = []
        self.numbers = itertools.count(1)
        survey = Survey(self.read, self.market_data, cushion_bps=0)
        self.propose = ProposeRebalance(
            survey,
            self.market_data,
            self.targets,
            self.rebalances,
            self.changes,
            self.clock,
            self.new_id,
            orders_max=3,
        )
        self.execute = ExecuteRebalance(self.rebalances, survey, self.changes, self.clock, drift_most=0.1)
        self.cancel = CancelRebalance(self.rebalances, self.changes, self.clock)
        self.find = FindRebalance(self.rebalances)
        self.run = RunRebalances(self.rebalances, self.orders, self.changes, self.clock, LOG, concurrent=2)
        self.keep = KeepSchedules(self.schedules, self.read, self.clock)
        self.timetable = RunSchedules(self.schedules, self.rebalances, self.propose, self.execute, self.clock, LOG)

    def new_id(self) -> str:
        return f"01990000-0000-7000-8000-{next(self.numbers):012d}"

    async def targets(self, optimize: bytes) -> Mapping[str, float]:
        self.asked_targets.append(optimize)
        return self.found_targets

    async def executed(self, rules: Rules = RULES) -> Rebalance:
        """A proposal that was started and run as far as it goes."""
        made = await self.propose(rules)
        await self.execute(made.id)
        await self.run()
        return await self.find(made.id)


@asynccontextmanager
async def rebalance_desk(folder: Path) -> AsyncIterator[RebalanceDesk]:
    """A hundred AAPL at 100 and 50 TSLA at 200, in an account of 100,000."""
    async with book_desk(folder) as opened:
        found = RebalanceDesk(opened)
        found.trade("AAPL", "100", "100")
        found.trade("TSLA", "50", "200")
        for symbol, price in (("AAPL", "100"), ("TSLA", "200"), ("MSFT", "400"), ("SPY", "500")):
            found.mark(symbol, price)
        yield found


def states(rebalance: Rebalance) -> list[tuple[str, str]]:
    return [(order.symbol, order.status) for order in rebalance.orders]
