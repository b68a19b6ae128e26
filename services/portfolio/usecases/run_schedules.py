"""Rebalances accounts by themselves, one run at a time; a run that fails says why and keeps no other from running."""

from dataclasses import replace
from typing import Any

from services.portfolio.domain.rebalance import Rules
from services.portfolio.domain.rebalance_plan import require_rules
from services.portfolio.domain.rebalance_schedule import Due, Schedule, require_every
from services.portfolio.ports import Rebalances, Schedules
from services.portfolio.usecases.execute_rebalance import ExecuteRebalance
from services.portfolio.usecases.propose_rebalance import ProposeRebalance
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT, ReadBook
from trading.clock import Clock
from trading.errors import FailedPrecondition, InvalidArgument, NotFound, TradingError


class KeepSchedules:
    """Creates, replaces and removes schedules."""

    def __init__(self, schedules: Schedules, read: ReadBook, clock: Clock) -> None:
        self._schedules = schedules
        self._read = read
        self._clock = clock

    async def put(self, schedule: Schedule) -> Schedule:
        """The schedule as kept; its first run is one step from now.

        Raises InvalidArgument for wrong rules or a step out of bounds, NotFound for an unknown account.
        """
        require_every(schedule.every_ns)
        if schedule.optimize and schedule.rules.targets:
            raise InvalidArgument("Expected targets or an optimisation, not both.", field="targets")
        require_rules(schedule.rules, has_targets=not schedule.optimize)
        rules = replace(schedule.rules, account=schedule.account or DEFAULT_ACCOUNT)
        await self._read.positions(rules.account)
        first_ns = self._clock.now_ns() + schedule.every_ns
        return await self._schedules.put(replace(schedule, rules=rules, next_run_ns=first_ns))

    async def all(self) -> tuple[Schedule, ...]:
        """Every schedule, by account."""
        return await self._schedules.all()

    async def remove(self, account: str) -> None:
        """Take the schedule of an account away; raises NotFound when there is none."""
        name = account or DEFAULT_ACCOUNT
        if not await self._schedules.remove(name):
            raise NotFound(f"Account {name!r} has no schedule.", reason="UNKNOWN_SCHEDULE", account=name)


class RunSchedules:
    """Runs every schedule that is due."""

    def __init__(
        self,
        schedules: Schedules,
        rebalances: Rebalances,
        propose: ProposeRebalance,
        execute: ExecuteRebalance,
        clock: Clock,
        log: Any,
    ) -> None:
        self._schedules = schedules
        self._rebalances = rebalances
        self._propose = propose
        self._execute = execute
        self._clock = clock
        self._log = log

    async def __call__(self) -> None:
        """Look at each schedule; raises Unavailable when the database is gone."""
        for schedule in await self._schedules.all():
            now_ns = self._clock.now_ns()
            due = schedule.due(now_ns)
            if due is Due.NOT_YET:
                continue
            # Claimed first: what dies in a run does not run again at once, and two replicas do not run it both.
            is_ours = await self._schedules.claim(schedule, schedule.next_after(now_ns))
            if is_ours and due is Due.NOW:
                await self._schedules.note_run(await self._run(schedule, now_ns))

    async def _run(self, schedule: Schedule, now_ns: int) -> Schedule:
        run = replace(schedule, last_run_ns=now_ns, last_rebalance_id="", last_error="")
        try:
            await self._require_idle(schedule.rules)
            proposal = await self._propose.scheduled(schedule.rules, schedule.optimize)
            if proposal:
                run = replace(run, last_rebalance_id=proposal.id)
            if proposal and schedule.execute:
                await self._execute(proposal.id)
        except TradingError as failed:
            run = replace(run, last_error=f"{failed.reason}: {failed.message}")
            self._log.warning("schedule.failed", account=schedule.account, reason=failed.reason, error=failed.message)
        return run

    async def _require_idle(self, rules: Rules) -> None:
        for rebalance in await self._rebalances.executing():
            if rebalance.account == rules.account:
                raise FailedPrecondition("The rebalance before is still under way.", reason="REBALANCE_UNDER_WAY")
