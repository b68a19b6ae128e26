"""What the portfolio needs from the outside, in its own words."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from services.portfolio.domain.account import AccountBook, AccountTerms, DayOpening, PositionChange, PositionValue
from services.portfolio.domain.entries import Acquisition, Charge, Fill, Transfer
from services.portfolio.domain.equity import Point
from services.portfolio.domain.estimation.history import Closes
from services.portfolio.domain.optimiser.answer import Solution
from services.portfolio.domain.optimiser.problem import Problem
from services.portfolio.domain.rebalance import Order, OrderReport, Rebalance
from services.portfolio.domain.rebalance_schedule import Schedule
from trading.instruments import Instruments
from trading.market import Quote

Args = ParamSpec("Args")
Result = TypeVar("Result")


class Posting(NamedTuple):
    """What one batch of fills or charges did to the book."""

    applied: int
    duplicates: int


class Import(NamedTuple):
    """Positions that were acquired elsewhere, booked together or not at all; `fingerprint` tells one body from another.

    The book gives its acquisitions their places.
    """

    account: str
    import_id: str
    fingerprint: str
    receive_time_ns: int
    acquisitions: tuple[Acquisition, ...]


class PendingChange(NamedTuple):
    """A committed change that waits to be published; `place` orders it among all."""

    place: int
    change: PositionChange


class Book(Protocol):
    """The durable book: every fill once, whatever is delivered, in whatever order."""

    async def apply(self, fills: Sequence[Fill], *, scanned_to: int | None = None) -> Posting:
        """Fold in the fills that are new and note how far the log was scanned, in one transaction.

        Raises Unavailable when the database is gone; then nothing was folded.
        """
        ...

    async def apply_charges(self, charges: Sequence[Charge], *, scanned_to: int | None = None) -> Posting:
        """Fold in the charges that are new and note how far execution's record was scanned, in the same way."""
        ...

    async def transfer(self, transfer: Transfer) -> bool:
        """Book cash that was paid in or out; False when it was booked before, or told by the venue under the same id.

        Raises IdempotencyConflict when the id came before with another content, Unavailable.
        """
        ...

    async def acquire(self, order: Import) -> bool:
        """Book the positions of an import in one transaction; False when it was booked before.

        Raises IdempotencyConflict, Unavailable.
        """
        ...

    async def read(self, account: str) -> AccountBook:
        """One account at one moment; empty when nothing was ever booked on it."""
        ...

    async def accounts(self) -> tuple[str, ...]:
        """Names of the accounts on which something was booked."""
        ...

    async def newest_log_sequence(self) -> int:
        """Newest position in execution's log that the book contains; 0 when it is empty."""
        ...

    async def scanned_to(self) -> int:
        """How far catch-up has scanned execution's log."""
        ...

    async def charges_scanned_to(self) -> int:
        """How far catch-up has scanned execution's record of charges."""
        ...


class Outbox(Protocol):
    """Changes that are committed and not yet published."""

    async def pending(self, limit: int) -> tuple[PendingChange, ...]:
        """The oldest ones, in order."""
        ...

    async def forget(self, places: Sequence[int]) -> None:
        """Take published ones away."""
        ...


class Accounts(Protocol):
    """What execution last said of the accounts, kept so that it survives execution and us."""

    async def remember(self, terms: Sequence[AccountTerms]) -> None:
        """Keep the newest word of each account."""
        ...

    async def recall(self) -> tuple[AccountTerms, ...]:
        """The newest word of each account, by id."""
        ...

    async def open_day(self, account: str, day: int, opening: DayOpening) -> None:
        """Keep what a UTC day began with; the first word stands."""
        ...

    async def day_opening(self, account: str, day: int) -> DayOpening | None:
        """What a UTC day began with; None before it is known."""
        ...

    async def has_days(self, account: str) -> bool:
        """A day of this account was opened before."""
        ...


class Mark(NamedTuple):
    """A price in nanos and when it was received, ns UTC."""

    symbol: str
    price_nanos: int
    receive_time_ns: int


class Horizons(NamedTuple):
    """How long the points of a curve are kept, in days: all of them, then one an hour, then one a day."""

    all_days: int
    hourly_days: int
    daily_days: int


class Curves(Protocol):
    """The equity curves, kept durably."""

    async def newest(self, account: str) -> Point | None:
        """The last point of an account; None before the first."""
        ...

    async def add(self, points: Mapping[str, Point], marks: Sequence[Mark]) -> None:
        """Keep a point of each account, and the prices they were valued at, together; raises Unavailable."""
        ...

    async def marks(self) -> Sequence[Mark]:
        """The prices of the newest points."""
        ...

    async def between(self, account: str, start_ns: int, end_ns: int) -> Sequence[Point]:
        """Points by time from `start_ns` up to `end_ns`; how it stood at `start_ns` comes first, at that time."""
        ...

    async def thin(self, now_ns: int, horizons: Horizons) -> None:
        """Take away what has become too old for its detail; the first point of a curve stays."""
        ...


class FillPage(NamedTuple):
    """A stretch of execution's log."""

    fills: tuple[Fill, ...]
    has_more: bool


class ChargePage(NamedTuple):
    """A stretch of execution's record of charges."""

    charges: tuple[Charge, ...]
    has_more: bool


class Execution(Protocol):
    """The service that owns the truth about orders. Every call raises TradingError when it cannot answer."""

    async def fills_after(self, log_sequence: int, limit: int, timeout_s: float) -> FillPage:
        """Fills later in the log than `log_sequence`, in its order."""
        ...

    async def charges_after(self, sequence: int, limit: int, timeout_s: float) -> ChargePage:
        """Charges later in the record than `sequence`, in its order."""
        ...

    async def accounts(self, timeout_s: float) -> tuple[AccountTerms, ...]:
        """Its accounts."""
        ...


class MarketData(Protocol):
    """The service that knows prices and instruments. Every call raises TradingError when it cannot answer."""

    async def quote(self, symbol: str) -> Quote:
        """The newest quote."""
        ...

    async def sectors(self) -> Mapping[str, str]:
        """Sector of every known symbol, by canonical symbol and every other spelling."""
        ...

    async def instruments(self) -> Instruments:
        """Every instrument."""
        ...

    async def daily_closes(self, symbols: Sequence[str], start_ns: int, end_ns: int) -> Sequence[Closes]:
        """Positive daily closes of each symbol, in any spelling and in the order given, from `start_ns` to before
        `end_ns`. Raises UnknownSymbol.
        """
        ...


class ValuedChange(NamedTuple):
    """A change as it is told: with what the position is worth and the account's cash."""

    change: PositionChange
    value: PositionValue
    cash_nanos: int


class PositionEvents(Protocol):
    """Where changes of positions are told."""

    async def tell(self, changes: Sequence[ValuedChange]) -> None:
        """Publish durably and in order; the same change twice is one event. Raises Unavailable when one may be lost."""
        ...


class Solver(Protocol):
    """Finds weights, away from the event loop."""

    async def solve(self, problem: Problem, timeout_s: float) -> Solution:
        """The best weights.

        Raises Refusal, DeadlineExceeded after `timeout_s`, ResourceExhausted when too many problems wait,
        Unavailable when the worker died twice.
        """
        ...

    async def solve_all(self, problems: Sequence[Problem], timeout_s: float) -> tuple[Solution, ...]:
        """The best weights of each, found one after another, each begun where the one before ended; the first
        that has no answer ends them all. Raises the same.
        """
        ...


class Offload(Protocol):
    """Runs a computation away from the event loop."""

    async def __call__(self, function: Callable[Args, Result], *args: Args.args, **kwargs: Args.kwargs) -> Result:
        """Whatever `function` returns or raises."""
        ...


class Rebalances(Protocol):
    """Proposals and their execution, durable. Every call raises Unavailable when the database is gone."""

    async def add(self, rebalance: Rebalance) -> None:
        """Keep a new proposal."""
        ...

    async def get(self, rebalance_id: str) -> Rebalance | None:
        """One of them."""
        ...

    async def put(self, rebalance: Rebalance, *, was: int) -> bool:
        """Keep a change of the version `was`; False, and nothing is kept, when it is another version by now.

        Raises FailedPrecondition REBALANCE_UNDER_WAY when the account already executes another one.
        """
        ...

    async def page(self, account: str, limit: int, before: str) -> tuple[Rebalance, ...]:
        """Newest first, of one account or of all (""), older than the id `before` ("" is the newest)."""
        ...

    async def executing(self) -> tuple[Rebalance, ...]:
        """Those under way, oldest first."""
        ...

    async def untold(self, limit: int) -> tuple[Rebalance, ...]:
        """Those whose newest version was not published yet, oldest first."""
        ...

    async def told(self, rebalance: Rebalance) -> None:
        """Note that this version was published."""
        ...

    async def forget(self, before_ns: int) -> int:
        """Drop those made before a time, ns UTC, but for what is under way or untold; give back how many."""
        ...


class Schedules(Protocol):
    """When accounts are rebalanced by themselves, durable."""

    async def all(self) -> tuple[Schedule, ...]:
        """Every schedule, by account."""
        ...

    async def put(self, schedule: Schedule) -> Schedule:
        """Create or replace the schedule of its account; what is known of its last run stays."""
        ...

    async def claim(self, schedule: Schedule, next_run_ns: int) -> bool:
        """Move a schedule's next run; False when another hand has moved, changed or removed it: its run is not ours."""
        ...

    async def note_run(self, schedule: Schedule) -> None:
        """Keep what a schedule says of its runs, unless it is gone by now."""
        ...

    async def remove(self, account: str) -> bool:
        """Take the schedule of an account away; False when there is none."""
        ...


class Orders(Protocol):
    """Where orders of rebalances go. Every call raises TradingError when there is no answer."""

    async def submit(self, account: str, order: Order) -> OrderReport:
        """Submit an order, wait a moment for its end; the same client order id again gives the same order."""
        ...

    async def look_up(self, order_id: str) -> OrderReport:
        """An order as it is now."""
        ...

    async def find(self, account: str, order: Order) -> OrderReport | None:
        """An order by its client order id; None when it was never placed."""
        ...

    async def cancel(self, order_id: str) -> OrderReport:
        """Ask for the cancel of an order, and give it as it is then."""
        ...


class RebalanceEvents(Protocol):
    """Where changes of rebalances are told."""

    async def tell(self, rebalances: Sequence[Rebalance]) -> None:
        """Publish durably; the same version twice is one event. Raises Unavailable when one may be lost."""
        ...


class Targets(Protocol):
    """Finds target weights by an optimisation."""

    async def __call__(self, optimize: bytes) -> Mapping[str, float]:
        """Weight by symbol for a problem in its wire form; raises what the optimiser raises."""
        ...
