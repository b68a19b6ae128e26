"""What portfolio does by itself."""

import asyncio
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
import structlog
from builders.portfolio import a_charge, a_fill, charge_message, fill_event

from fleet.blocks import encode_quotes
from fleet.bus import Bus, Message
from fleet.metrics import Metrics
from neuraltrader.execution.v1 import execution_pb2 as execution
from services.portfolio.domain.entries import Charge, Fill
from services.portfolio.domain.marks import Marks
from services.portfolio.listeners import ChargeListener, FillListener, QuoteListener, Relay, Rounds
from services.portfolio.ports import Posting
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.tell_changes import TellChanges
from trading.errors import InvalidArgument, Unavailable
from trading.market import QuoteBlock
from trading.money import ONE

LOG = structlog.get_logger()
NO_BUS = cast(Bus, None)


class Ledger:
    """Stands for ApplyFills: keeps what it got, after being away for some calls."""

    def __init__(self, away: int = 0) -> None:
        self.got: list[Fill] = []
        self.charged: list[Charge] = []
        self.away = away

    async def __call__(self, fills: Sequence[Fill], *, scanned_to: int | None = None) -> Posting:
        if self.away:
            self.away -= 1
            raise Unavailable("The database does not answer.")
        self.got += fills
        return Posting(len(fills), 2)

    async def charges(self, charges: Sequence[Charge], *, scanned_to: int | None = None) -> Posting:
        self.charged += charges
        return Posting(len(charges) - 1, 1)


def a_listener(ledger: Ledger, metrics: Metrics | None = None) -> FillListener:
    return FillListener(NO_BUS, cast(ApplyFills, ledger), metrics or Metrics(), batch=10)


def messages(*payloads: bytes) -> list[Message]:
    return [Message("execution.v1.order.fill.main", payload, {}) for payload in payloads]


async def test_fills_of_a_batch_are_booked_and_other_events_are_not() -> None:
    ledger, metrics = Ledger(), Metrics()
    accepted = execution.OrderEvent(event_id="e", kind=execution.ORDER_EVENT_KIND_ACCEPTED).SerializeToString()
    await a_listener(ledger, metrics).book(messages(fill_event(a_fill(1)), accepted, fill_event(a_fill(2))))
    assert ledger.got == [a_fill(1), a_fill(2)]
    assert metrics.registry.get_sample_value("nt_inbox_duplicates_total") == 2


async def test_charges_of_a_batch_are_booked() -> None:
    ledger, metrics = Ledger(), Metrics()
    listener = ChargeListener(NO_BUS, cast(ApplyFills, ledger), metrics, batch=10)
    charges = [a_charge(1), a_charge(2, symbol="AAPL", kind="DIVIDEND", quantity_nanos=3)]
    await listener.book(messages(*(charge_message(charge).SerializeToString() for charge in charges)))
    assert ledger.charged == charges
    assert metrics.registry.get_sample_value("nt_inbox_duplicates_total") == 1


@pytest.mark.parametrize("payload", [b"\xff\xff", b"", charge_message(a_charge(1, sequence=0)).SerializeToString()])
async def test_what_is_no_charge_is_refused(payload: bytes) -> None:
    listener = ChargeListener(NO_BUS, cast(ApplyFills, Ledger()), Metrics(), batch=10)
    with pytest.raises(InvalidArgument):
        await listener.book(messages(payload))


async def test_a_batch_with_a_poison_message_books_nothing_of_it() -> None:
    ledger = Ledger()
    with pytest.raises(InvalidArgument):
        await a_listener(ledger).book(messages(fill_event(a_fill(1)), b"\xff\xff"))
    assert ledger.got == []


async def test_a_batch_is_given_back_while_the_database_is_away() -> None:
    ledger = Ledger(away=1)
    with pytest.raises(Unavailable):
        await a_listener(ledger).book(messages(fill_event(a_fill(1))))
    await a_listener(ledger).book(messages(fill_event(a_fill(1))))
    assert ledger.got == [a_fill(1)]


def a_block() -> bytes:
    columns = (np.array([1, 2]), np.array([1, 2]), np.array([100, 110]) * ONE, np.array([1, 1]) * ONE)
    block = QuoteBlock("alpaca", "AAPL", *columns, np.array([102, 112]) * ONE, np.array([1, 1]) * ONE)
    return encode_quotes(block, 0, "feed")


def test_the_newest_quote_of_a_block_marks_its_symbol_and_garbage_does_not() -> None:
    marks = Marks()
    listener = QuoteListener(NO_BUS, marks, LOG)
    listener.see(Message("market_data.v1.quote.alpaca.AAPL", a_block(), {}))
    listener.see(Message("market_data.v1.quote.alpaca.AAPL", b"\xff\xff", {}))
    assert dict(marks) == {"AAPL": 111 * ONE}


class Teller:
    """Stands for TellChanges: away for some calls, then counts."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.told = asyncio.Event()

    async def __call__(self) -> int:
        if self.away:
            self.away -= 1
            raise Unavailable("JetStream does not answer.")
        self.told.set()
        return 1


async def test_the_relay_tries_again_and_goes_on_when_something_changed() -> None:
    teller, changed = Teller(away=2), asyncio.Event()
    relay = Relay(cast(TellChanges, teller), changed, LOG, retry_s=0.001)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        task = group.create_task(relay.run())
        await teller.told.wait()
        teller.told.clear()
        changed.set()
        await teller.told.wait()
        task.cancel()


async def test_a_step_that_fails_does_not_keep_the_others_from_running() -> None:
    taken: list[str] = []

    async def away() -> None:
        taken.append("away")
        raise Unavailable("Execution is away.")

    async def works() -> None:
        taken.append("works")

    rounds = Rounds({"away": away, "works": works}, LOG, period_s=60)
    await rounds.once()
    await rounds.once()
    assert taken == ["away", "works"] * 2
