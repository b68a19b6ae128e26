"""What every store of accounts, limits and the trail must do: SQLite, Postgres, and the fake of the unit tests."""

import dataclasses
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from builders.order_log import a_database
from builders.orders import MAIN
from fakes.order_stores import FakeControlStore

from services.execution.adapters.sql_controls import SqlControls
from services.execution.domain.limits import RiskLimits, SignalTrading
from services.execution.ports.controls import AccountRecord, Audit, AuditQuery, ControlStore
from trading.ids import AccountId
from trading.money import MAX_NANOS, ONE
from trading.order import TradingState


@pytest.fixture
async def controls(kept_in: str | None, tmp_path: Path) -> AsyncIterator[ControlStore]:
    if kept_in is None:
        yield FakeControlStore()
        return
    async with a_database(kept_in, tmp_path) as database:
        yield SqlControls(database)


async def test_an_account_and_its_state_are_remembered(controls: ControlStore) -> None:
    """With an audit row for the change."""
    record = AccountRecord(MAIN, "paper", "USD", 10**15)
    await controls.add_account(record)
    await controls.set_trading_state(MAIN, TradingState.HALTED, Audit("me", 1, "enough"))
    assert list(await controls.accounts()) == [replace(record, trading_state=TradingState.HALTED)]


async def test_limits_are_replaced(controls: ControlStore) -> None:
    """An absent one is lifted."""
    await controls.set_limits(RiskLimits(MAIN, max_open_orders=5, price_collar=0.1), Audit("me", 1))
    newer = RiskLimits(MAIN, max_daily_loss_nanos=ONE, updated_time_ns=2)
    await controls.set_limits(newer, Audit("me", 2))
    assert list(await controls.limits()) == [newer]


async def test_the_signal_switch_is_remembered(controls: ControlStore) -> None:
    """Models and all."""
    assert await controls.signal_trading() is None
    for models in ((), ("a", "b")):
        switch = SignalTrading(enabled=True, notional_nanos=ONE, min_confidence=0.5, account=MAIN, models=models)
        await controls.set_signal_trading(switch, Audit("me", 1))
        assert await controls.signal_trading() == switch


FULL_LIMITS = RiskLimits(
    MAIN,
    max_order_notional_nanos=1,
    max_position_nanos=2,
    max_gross_exposure_nanos=3,
    max_net_exposure_nanos=4,
    price_collar=0.5,
    max_quote_age_ns=6,
    max_open_orders=7,
    max_submits_per_second=8,
    max_daily_loss_nanos=9,
    min_order_notional_nanos=10,
    max_modifies_per_second=11,
    duplicate_window_ns=MAX_NANOS,
    refuse_self_trades=False,
    updated_time_ns=13,
)


async def test_every_limit_is_remembered(controls: ControlStore) -> None:
    """Each in its own place; a refusal of nothing is not the same as no word."""
    assert None not in dataclasses.astuple(FULL_LIMITS)
    await controls.set_limits(FULL_LIMITS, Audit("me", 1))
    assert list(await controls.limits()) == [FULL_LIMITS]
    (entry,) = await controls.audit(AuditQuery(10))
    assert json.loads(entry.value) == dataclasses.asdict(FULL_LIMITS)


@pytest.mark.parametrize("kept_in", ["sqlite", "postgresql"], indirect=True)
async def test_what_an_operator_set_survives_a_reopening(kept_in: str, tmp_path: Path) -> None:
    """Limits, kill switch, signal switch and their trail."""
    switch = SignalTrading(enabled=False, notional_nanos=ONE, min_confidence=0.5, account=MAIN, models=("a",))
    record = AccountRecord(MAIN, "paper", "USD", -(10**15))
    async with a_database(kept_in, tmp_path) as database:
        controls = SqlControls(database)
        await controls.add_account(record)
        await controls.set_limits(FULL_LIMITS, Audit("me", 1))
        await controls.set_trading_state(MAIN, TradingState.REDUCING, Audit("me", 2, "why"))
        await controls.set_signal_trading(switch, Audit("me", 3))
    async with a_database(kept_in, tmp_path) as database:
        controls = SqlControls(database)
        assert list(await controls.limits()) == [FULL_LIMITS]
        assert list(await controls.accounts()) == [replace(record, trading_state=TradingState.REDUCING)]
        assert await controls.signal_trading() == switch
        assert [(each.time_ns, each.reason) for each in await controls.audit(AuditQuery(10))] == [
            (3, ""),
            (2, "why"),
            (1, ""),
        ]


async def test_the_trail_says_who_changed_what_and_why(controls: ControlStore) -> None:
    """The newest first, each with what it was changed to."""
    await controls.add_account(AccountRecord(MAIN, "paper", "USD", 0))
    await controls.set_trading_state(MAIN, TradingState.HALTED, Audit("ann", 1, "enough"))
    await controls.set_limits(RiskLimits(MAIN, max_open_orders=5), Audit("bob", 2))
    limits, state = await controls.audit(AuditQuery(10))
    assert (state.subject, state.account, json.loads(state.value)) == ("trading_state", "main", {"state": "HALTED"})
    assert (state.actor, state.reason, state.time_ns) == ("ann", "enough", 1)
    assert (limits.subject, limits.actor, json.loads(limits.value)["max_open_orders"]) == ("risk_limits", "bob", 5)
    assert limits.id > state.id


async def test_the_trail_is_read_page_by_page(controls: ControlStore) -> None:
    """Each page before the last id of the one before it, to the end, nothing twice."""
    for time_ns in range(1, 8):
        await controls.set_limits(RiskLimits(MAIN), Audit("me", time_ns))
    seen, before = [], None
    while page := await controls.audit(AuditQuery(3, before=before)):
        assert len(page) <= 3
        seen += [each.time_ns for each in page]
        before = page[-1].id
    assert seen == [7, 6, 5, 4, 3, 2, 1]


async def test_the_trail_is_filtered(controls: ControlStore) -> None:
    """By account and by subject; a page is of what was asked for."""
    await controls.add_account(AccountRecord(MAIN, "paper", "USD", 0))
    for account in (MAIN, AccountId("other")):
        await controls.set_limits(RiskLimits(account), Audit("me", 1))
    await controls.set_trading_state(MAIN, TradingState.HALTED, Audit("me", 2))
    await controls.set_limits(RiskLimits(MAIN), Audit("me", 3))

    async def found(**query: str) -> list[tuple[str, str, int]]:
        entries = await controls.audit(AuditQuery(2, **query))  # type: ignore[arg-type]
        return [(each.subject, each.account, each.time_ns) for each in entries]

    assert await found(account="other") == [("risk_limits", "other", 1)]
    assert await found(subject="trading_state") == [("trading_state", "main", 2)]
    assert await found(account="main", subject="risk_limits") == [
        ("risk_limits", "main", 3),
        ("risk_limits", "main", 1),
    ]
    assert await found(account="nobody") == []


async def test_a_trail_of_nothing_is_empty(controls: ControlStore) -> None:
    """Nobody has changed anything."""
    assert list(await controls.audit(AuditQuery(10))) == []
