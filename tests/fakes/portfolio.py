"""Stand-ins for the portfolio's ports: execution, market data, where events are told, and a solver."""

from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from services.portfolio.domain.account import AccountTerms, PositionChange, PositionValue
from services.portfolio.domain.ledger import Fill
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.ports import FillPage
from trading.errors import Unavailable, UnknownSymbol
from trading.market import Quote

Args = ParamSpec("Args")
Result = TypeVar("Result")


class FakeExecution:
    """A log of fills and some accounts; away when told so."""

    def __init__(self, fills: Sequence[Fill] = (), accounts: Sequence[AccountTerms] = ()) -> None:
        self.log = sorted(fills, key=lambda fill: fill.log_sequence)
        self.terms = list(accounts)
        self.is_away = False
        self.asked_after: list[int] = []

    async def fills_after(self, log_sequence: int, limit: int, timeout_s: float) -> FillPage:
        self._answer()
        self.asked_after.append(log_sequence)
        later = [fill for fill in self.log if fill.log_sequence > log_sequence]
        return FillPage(tuple(later[:limit]), len(later) > limit)

    async def accounts(self, timeout_s: float) -> tuple[AccountTerms, ...]:
        self._answer()
        return tuple(sorted(self.terms))

    def _answer(self) -> None:
        if self.is_away:
            raise Unavailable("Execution is away.")


class FakeMarketData:
    """Some quotes and sectors."""

    def __init__(self, quotes: Sequence[Quote] = (), sectors: Mapping[str, str] | None = None) -> None:
        self.quotes = {quote.symbol: quote for quote in quotes}
        self.known_sectors = dict(sectors or {})
        self.asked_sectors = 0

    async def quote(self, symbol: str) -> Quote:
        if symbol not in self.quotes:
            raise UnknownSymbol(f"No quote of {symbol}.", symbol=symbol)
        return self.quotes[symbol]

    async def sectors(self) -> Mapping[str, str]:
        self.asked_sectors += 1
        return self.known_sectors


class FakePositionEvents:
    """Keeps what was told; away when told so."""

    def __init__(self) -> None:
        self.told: list[tuple[PositionChange, PositionValue, int]] = []
        self.is_away = False

    async def tell(self, change: PositionChange, value: PositionValue, cash_nanos: int) -> None:
        if self.is_away:
            raise Unavailable("The stream is away.")
        self.told.append((change, value, cash_nanos))


class FakeSolver:
    """Gives the solution it was made with, whatever the problem."""

    def __init__(self, solution: Solution) -> None:
        self.solution = solution
        self.asked: list[tuple[Problem, float]] = []

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        self.asked.append((problem, timeout_s))
        return self.solution


async def run_here(function: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> Result:
    """Offload that stays where it is."""
    return function(*args, **kwargs)
