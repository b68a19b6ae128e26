"""Begins and ends the execution of a proposal; the orders themselves are sent by `run_rebalances`."""

from collections.abc import Callable

from services.portfolio.domain.rebalance import Rebalance, State
from services.portfolio.domain.rebalance_plan import drift
from services.portfolio.ports import Rebalances
from services.portfolio.usecases.changes import Changes
from services.portfolio.usecases.survey import Survey
from trading.clock import Clock
from trading.errors import Kind, NotFound, TradingError

_TRIES = 5
"""A rebalance changes under our hands at most as often as its orders are answered."""


class FindRebalance:
    """Finds a rebalance by its id."""

    def __init__(self, rebalances: Rebalances) -> None:
        self._rebalances = rebalances

    async def __call__(self, rebalance_id: str) -> Rebalance:
        """The rebalance; raises NotFound."""
        found = await self._rebalances.get(rebalance_id)
        if found is None:
            raise NotFound(f"There is no rebalance {rebalance_id!r}.", reason="UNKNOWN_REBALANCE", id=rebalance_id)
        return found


class ExecuteRebalance:
    """Starts a proposal once, however often it is asked to."""

    def __init__(
        self, rebalances: Rebalances, survey: Survey, changes: Changes, clock: Clock, *, drift_most: float
    ) -> None:
        self._rebalances = rebalances
        self._find = FindRebalance(rebalances)
        self._survey = survey
        self._changes = changes
        self._clock = clock
        self._drift_most = drift_most

    async def __call__(self, rebalance_id: str) -> Rebalance:
        """The rebalance under way, or as it is when it was started before.

        Raises NotFound, ABORTED BOOK_MOVED when book or market have moved too far since the proposal,
        FailedPrecondition REBALANCE_CLOSED for one that was canceled, REBALANCE_UNDER_WAY when the account executes
        another one.
        """
        found = await self._find(rebalance_id)
        if found.state is State.PROPOSED and found.orders:
            await self._require_unmoved(found)
        return await _change(self._rebalances, self._find, self._changes, rebalance_id, self._started)

    def _started(self, rebalance: Rebalance) -> Rebalance:
        if rebalance.state in {State.EXECUTING, State.DONE, State.FAILED}:
            return rebalance
        return rebalance.started(self._clock.now_ns())

    async def _require_unmoved(self, rebalance: Rebalance) -> None:
        situation = await self._survey(rebalance.account, [order.symbol for order in rebalance.orders])
        moved = drift(rebalance.orders, rebalance.weights, situation)
        if moved > self._drift_most:
            raise TradingError(
                Kind.ABORTED,
                "BOOK_MOVED",
                f"Book or market moved by {moved:.4f} since the proposal; at most {self._drift_most} is allowed.",
                id=rebalance.id,
                moved=moved,
                most=self._drift_most,
            )


class CancelRebalance:
    """Ends a rebalance: nothing more is sent, and what works is canceled."""

    def __init__(self, rebalances: Rebalances, changes: Changes, clock: Clock) -> None:
        self._rebalances = rebalances
        self._find = FindRebalance(rebalances)
        self._changes = changes
        self._clock = clock

    async def __call__(self, rebalance_id: str) -> Rebalance:
        """The rebalance that is ending; raises NotFound, FailedPrecondition REBALANCE_CLOSED after its end."""
        return await _change(self._rebalances, self._find, self._changes, rebalance_id, self._canceled)

    def _canceled(self, rebalance: Rebalance) -> Rebalance:
        return rebalance.canceled(self._clock.now_ns())


async def _change(
    rebalances: Rebalances,
    find: FindRebalance,
    changes: Changes,
    rebalance_id: str,
    change: Callable[[Rebalance], Rebalance],
) -> Rebalance:
    """Apply a change to the newest version, again when another one came first."""
    for _ in range(_TRIES):
        found = await find(rebalance_id)
        changed = change(found)
        if changed is found:
            return found
        if await rebalances.put(changed, was=found.version):
            changes.ring()
            return changed
    raise TradingError(Kind.ABORTED, "CONCURRENT_CHANGE", "The rebalance is changing; try again.", id=rebalance_id)
