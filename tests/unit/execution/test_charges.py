"""What the venue charges beside fills: folded, collected once, told, and remembered."""

import asyncio
from dataclasses import replace

import pytest
from builders.charges import NOON_NS, a_charge, a_logged_charge, a_venue_charge
from builders.execution import Desk, a_desk, after_crash, assemble, at_work, until
from builders.orders import MAIN, execution
from fakes.orders import FakeBroker

from services.execution.adapters.alpaca_activities import charge_of
from services.execution.domain.charge import ChargeKind, VenueCharge
from services.execution.domain.fill import LoggedFill
from services.execution.domain.holdings import Holdings
from services.execution.domain.statement import DayFold
from trading.clock import DAY_NS
from trading.errors import InvalidArgument
from trading.ids import EventId, OrderId
from trading.money import ONE
from trading.order import Side

DAY = NOON_NS // DAY_NS
BITCOIN = "BTC-USDT"


def holding(symbol: str = BITCOIN) -> Holdings:
    """Ten bought at a hundred."""
    held = Holdings()
    held.fill(symbol, Side.BUY, execution(price_nanos=100 * ONE, quantity_nanos=10 * ONE), NOON_NS)
    return held


def test_a_fee_takes_cash_and_is_a_loss_of_its_day() -> None:
    held = Holdings()
    held.charge(a_charge(amount_nanos=2 * ONE))
    assert held.cash_flow_value == -2 * ONE * ONE
    assert held.realized_on(DAY) == -2 * ONE * ONE


def test_what_is_paid_to_the_account_is_a_profit() -> None:
    held = Holdings()
    held.charge(a_charge(kind=ChargeKind.DIVIDEND, amount_nanos=-3 * ONE))
    assert held.cash_flow_value == held.realized_on(DAY) == 3 * ONE * ONE


def test_a_deposit_is_cash_and_no_profit() -> None:
    held = Holdings()
    held.charge(a_charge(kind=ChargeKind.TRANSFER, amount_nanos=-500 * ONE))
    assert (held.cash_flow_value, held.realized_on(DAY)) == (500 * ONE * ONE, 0)


def test_a_fee_in_coins_shrinks_the_position_and_loses_what_they_cost() -> None:
    held = holding()
    cash = held.cash_flow_value
    held.charge(a_charge(symbol=BITCOIN, amount_nanos=0, quantity_nanos=ONE // 4))
    position = held.position(BITCOIN)
    assert (position.quantity_nanos, position.entry_price_nanos) == (10 * ONE - ONE // 4, 100 * ONE)
    assert held.realized_on(DAY) == -25 * ONE * ONE
    assert held.cash_flow_value == cash


def a_logged_fill(number: int, side: Side, price: int, time_ns: int = NOON_NS) -> LoggedFill:
    """One coin; a dollar of fee."""
    trade = execution(price_nanos=price * ONE, quantity_nanos=ONE, fee_nanos=ONE)
    return LoggedFill(number, EventId(f"e{number}"), OrderId("o"), MAIN, BITCOIN, side, "USD", time_ns, trade)


def test_a_statement_lists_the_days_charges_and_its_cash_includes_them() -> None:
    fold = DayFold("main", "paper", "USD", 1_000 * ONE, DAY)
    yesterday, today = a_logged_charge(1, event_time_ns=NOON_NS - DAY_NS), a_logged_charge(2, amount_nanos=3 * ONE)
    interest = a_logged_charge(3, kind=ChargeKind.INTEREST, amount_nanos=5 * ONE)
    deposit = a_logged_charge(4, kind=ChargeKind.TRANSFER, amount_nanos=-100 * ONE)
    tomorrow = a_logged_charge(5, event_time_ns=NOON_NS + DAY_NS)
    fold.take([a_logged_fill(1, Side.BUY, 100), today, yesterday, interest, deposit, tomorrow])
    fold.take([a_logged_fill(2, Side.SELL, 110)])
    found = fold.statement()
    assert found.charges == [today, interest, deposit]
    assert found.opening_cash_nanos == 998 * ONE
    assert found.fees_nanos == (1 + 3 + 1) * ONE
    assert found.realized_nanos == (10 - 2 - 3 - 5) * ONE
    assert found.closing_cash_nanos == (998 - 101 - 3 - 5 + 100 + 109) * ONE


FEE = {
    "id": "20260203000000000::fee",
    "activity_type": "FEE",
    "date": "2026-02-03",
    "net_amount": "-0.17",
    "status": "executed",
}
FEBRUARY_3_NS = 20_487 * DAY_NS


def test_a_fee_of_alpaca_is_read() -> None:
    assert charge_of(FEE) == VenueCharge(FEE["id"], ChargeKind.FEE, "USD", 170_000_000, FEBRUARY_3_NS)


def test_a_fee_in_coins_takes_units_and_no_cash() -> None:
    coins = {**FEE, "activity_type": "CFEE", "net_amount": "0", "qty": "-0.000195", "symbol": "ETH/USD"}
    found = charge_of(coins)
    assert found is not None
    assert (found.symbol, found.amount_nanos, found.quantity_nanos) == ("ETH/USD", 0, 195_000)


def test_the_quantity_of_a_dividend_is_what_it_was_paid_for() -> None:
    paid = {**FEE, "activity_type": "DIV", "net_amount": "1.02", "qty": "2", "symbol": "T", "per_share_amount": "0.51"}
    found = charge_of(paid)
    assert found is not None
    assert (found.kind, found.amount_nanos, found.quantity_nanos) == (ChargeKind.DIVIDEND, -1_020_000_000, 0)


@pytest.mark.parametrize("change", [{"status": "canceled"}, {"net_amount": "0"}])
def test_an_activity_that_moved_nothing_is_no_charge(change: dict[str, str]) -> None:
    assert charge_of({**FEE, **change}) is None


@pytest.mark.parametrize("change", [{"net_amount": "much"}, {"date": "soon"}, {"activity_type": "GIFT"}, {"id": None}])
def test_what_is_no_activity_is_refused(change: dict[str, object]) -> None:
    if change == {"id": None}:
        broken = {name: value for name, value in FEE.items() if name != "id"}
    else:
        broken = {**FEE, **change}
    with pytest.raises(InvalidArgument):
        charge_of(broken)


def flow(desk: Desk) -> int:
    """What has flowed into the main account, in nanos."""
    return desk.blotter.holdings[MAIN].cash_flow_value // ONE


def soon(desk: Desk, number: int = 1, **words: object) -> VenueCharge:
    """A charge that is made now."""
    return a_venue_charge(number, event_time_ns=desk.clock.now_ns(), **words)


async def test_a_charge_is_collected_once_recorded_under_the_lease_and_told() -> None:
    async with a_desk() as desk:
        desk.broker.charged.append(soon(desk))
        await until(lambda: len(desk.publisher.charges) == 1)
        await desk.charges()
        await desk.charges.look_back()
        assert flow(desk) == -2 * ONE
        assert [each.charge.venue_id for each in desk.publisher.charges] == ["venue-1"]
        assert desk.record_of_charges.epochs[-1] == desk.journal.epoch
        assert desk.record_of_charges.told == {1}


async def test_the_daily_loss_counts_a_charge() -> None:
    async with a_desk() as desk:
        desk.account.limits = replace(desk.account.limits, max_daily_loss_nanos=ONE)
        desk.broker.charged.append(soon(desk))
        await until(lambda: desk.account.record.trading_state == "HALTED")


async def test_what_was_charged_before_the_opening_is_in_the_opening_cash() -> None:
    broker = FakeBroker()
    broker.charged.append(a_venue_charge(1, event_time_ns=assemble().clock.now_ns()))
    async with a_desk(broker=broker) as desk:
        broker.charged.append(soon(desk, 2, amount_nanos=7 * ONE))
        await desk.charges.look_back()
        assert flow(desk) == -7 * ONE
        assert desk.account.record.opening_cash_nanos == broker.cash.cash_nanos


class Restless(FakeBroker):
    """A venue that charges while the account is being opened; its cash follows."""

    asked = 0

    async def charges(self, after_ns: int, after_id: str = "") -> list[VenueCharge]:
        found = list(await super().charges(after_ns, after_id))
        self.asked += 1
        if self.asked <= 3:
            self.charged.append(a_venue_charge(self.asked, event_time_ns=after_ns + DAY_NS))
            self.cash = replace(self.cash, cash_nanos=self.cash.cash_nanos - 2 * ONE)
        return found


async def test_an_account_opens_when_cash_and_charges_belong_together() -> None:
    broker = Restless()
    async with a_desk(broker=broker) as desk:
        await desk.charges.look_back()
        assert desk.account.record.opening_cash_nanos + flow(desk) == broker.cash.cash_nanos


async def test_a_restart_counts_no_charge_twice_and_none_less() -> None:
    async with a_desk() as desk:
        desk.broker.charged.append(soon(desk, 1))
        await desk.charges()
    successor = after_crash(desk)
    successor.broker.charged.append(soon(desk, 2, amount_nanos=5 * ONE))
    async with at_work(successor):
        await successor.charges()
        assert flow(successor) == -7 * ONE


async def test_a_charge_that_was_written_without_an_answer_counts_once() -> None:
    async with a_desk() as desk:
        desk.record_of_charges.outages = 1
        desk.broker.charged.append(soon(desk))
        await until(lambda: flow(desk) == -2 * ONE)
        await asyncio.sleep(0)
        await desk.charges.look_back()
        assert flow(desk) == -2 * ONE


async def test_charges_wait_for_the_stream() -> None:
    async with a_desk() as desk:
        desk.publisher.outages = 2
        desk.broker.charged += [soon(desk, 1), soon(desk, 2), soon(desk, 3)]
        await until(lambda: len(desk.record_of_charges.told) == 3)
        assert sorted(each.sequence for each in desk.publisher.charges) == [1, 2, 3]


async def test_a_late_charge_is_found_by_looking_back() -> None:
    async with a_desk() as desk:
        desk.broker.charged.append(soon(desk, 1))
        await desk.charges()
        desk.broker.charged.insert(0, a_venue_charge(2, event_time_ns=desk.clock.now_ns() - DAY_NS))
        await desk.charges()
        assert flow(desk) == -2 * ONE
        await desk.charges.look_back()
        assert flow(desk) == -4 * ONE


async def test_a_charge_of_an_order_names_it_and_its_symbol_is_canonical() -> None:
    async with a_desk() as desk:
        order = (await desk.sent()).order
        coins = {"symbol": "BTC/USD", "amount_nanos": 0, "quantity_nanos": 5}
        desk.broker.charged.append(soon(desk, venue_order_id=order.venue_order_id, **coins))
        await desk.charges()
        (found,) = (await desk.look_up.charges("", 0, 0)).charges
        assert (found.charge.order_id, found.charge.symbol) == (order.order_id, BITCOIN)
        assert desk.blotter.holdings[MAIN].position(BITCOIN).quantity_nanos == -5


async def test_charges_are_looked_up_in_pages() -> None:
    async with a_desk() as desk:
        desk.broker.charged += [soon(desk, number) for number in (1, 2, 3)]
        await desk.charges()
        page = await desk.look_up.charges("main", 0, 2)
        assert ([each.sequence for each in page.charges], page.has_more) == ([1, 2], True)
        page = await desk.look_up.charges("", 2, 2)
        assert ([each.sequence for each in page.charges], page.has_more) == ([3], False)
        with pytest.raises(InvalidArgument):
            await desk.look_up.charges("", -1, 2)


async def test_the_comparison_with_the_venue_has_heard_of_every_charge() -> None:
    async with a_desk() as desk:
        desk.broker.charged.append(soon(desk))
        desk.broker.cash = replace(desk.broker.cash, cash_nanos=desk.broker.cash.cash_nanos - 2 * ONE)
        rows = await desk.state.compare("")
        assert [(row.subject, row.agrees) for row in rows] == [("cash", True)]
        statement = await desk.state.statement("", "")
        assert [each.charge.venue_id for each in statement.charges] == ["venue-1"]
