"""The market says its ticks to the exchange, the tape, the bars and the audience, and loses none."""

import asyncio
from collections.abc import Callable

import numpy as np
import pytest
from builders.paper_venue import INSTRUMENTS, ExchangeDriver, a_quote, a_request, a_trade, quotes_at, until

from services.paper_venue.domain.charts import Charts
from services.paper_venue.domain.day_ends import DayEnds
from services.paper_venue.domain.exchange import Exchange, ExchangeRules
from services.paper_venue.domain.history import History
from services.paper_venue.domain.market import Batch, Market
from services.paper_venue.domain.orders import Status
from services.paper_venue.domain.replay import Recording
from services.paper_venue.domain.sessions import SessionRule, Sessions
from services.paper_venue.domain.tape import Tape
from services.paper_venue.domain.ticks import Kind, Ticks
from services.paper_venue.feed import Feed, Outbox
from services.paper_venue.pump import Pump, PumpRules, State, keep_days
from services.paper_venue.settings import Settings
from services.paper_venue.wiring import simulated
from trading.clock import DAY_NS, MINUTE_NS, ManualClock, SystemClock
from trading.ids import new_id
from trading.money import ONE
from trading.order import TimeInForce


def a_market() -> Market:
    exchange = Exchange(INSTRUMENTS, ExchangeRules(), new_id)
    prices = {instrument.symbol: 10 * ONE for instrument in INSTRUMENTS}
    return Market(exchange, Tape(100), Charts(INSTRUMENTS, History(INSTRUMENTS, prices, 1, DAY_NS), 100))


class Ear:
    """A listener that remembers what it heard."""

    def __init__(self, listening: bool = True) -> None:
        self.heard: list[Batch] = []
        self.listening = listening

    def listens(self) -> bool:
        return self.listening

    async def deliver(self, batch: Batch, patient: bool) -> None:
        self.heard.append(batch)

    @property
    def ticks(self) -> int:
        return sum(len(batch.ticks) for batch in self.heard if not batch.repeated)


def test_said_rows_move_the_exchange_and_are_counted() -> None:
    market = a_market()
    ticks = Ticks.concat([a_quote(9, 1, 11, 1), a_quote(9, 1, 12, 1), a_trade(10, instrument=1)])
    market.tape.load(ticks)
    market.say(ticks, 1)

    assert market.exchange.touch("AAPL").ask == 12 * ONE
    assert market.exchange.touch("MSFT").last == 10 * ONE
    assert market.said[Kind.QUOTE].tolist() == [2, 0, 0]
    assert market.said[Kind.TRADE].tolist() == [0, 1, 0]


def test_closed_minutes_come_with_their_day() -> None:
    market = a_market()
    ticks = Ticks.concat([a_trade(10, time_ns=DAY_NS), a_trade(11, time_ns=DAY_NS + MINUTE_NS)])
    market.tape.load(ticks)
    batch = market.say(ticks, 1)

    assert [bar.close_nanos for bar in batch.minutes] == [10 * ONE]
    assert [bar.interval for bar in batch.days] == ["1d"]
    assert [bar.close_nanos for bar in market.finish().minutes] == [11 * ONE]


def test_bars_of_a_recording_are_said_as_bars() -> None:
    market = a_market()
    ten = np.array([10 * ONE], np.int64)
    ticks = Ticks.of(Kind.BAR, 0, np.array([DAY_NS], np.int64), ten, 2 * ten, ten, ten)
    market.tape.load(ticks)
    (bar,) = market.say(ticks, 1).minutes

    assert (bar.high_nanos, bar.timestamp_ns) == (20 * ONE, DAY_NS)


def test_the_tape_shows_only_what_was_said() -> None:
    tape = Tape(100)
    tape.load(quotes_at([1, 2, 3, 4]))
    tape.advance(2)

    assert tape.find(Kind.QUOTE, 0, 0, 99).time_ns.tolist() == [1, 2]
    assert tape.latest(Kind.QUOTE, 0).time_ns.tolist() == [2]
    assert len(tape.latest(Kind.TRADE, 0)) == 0


def test_the_tape_finds_by_interval_instrument_and_kind() -> None:
    tape = Tape(100)
    for chunk in (quotes_at([1, 2, 2, 3]), Ticks.concat([a_trade(5, time_ns=3), *[quotes_at([4], instrument=1)]])):
        tape.load(chunk)
        tape.advance(len(chunk))

    assert tape.find(Kind.QUOTE, 0, 2, 3).time_ns.tolist() == [2, 2, 3]
    assert tape.find(Kind.TRADE, 0, 0, 9).time_ns.tolist() == [3]
    assert tape.find(Kind.QUOTE, 1, 0, 9).time_ns.tolist() == [4]


def test_the_tape_forgets_whole_chunks_beyond_its_bound() -> None:
    tape = Tape(4)
    for start in range(0, 12, 3):
        tape.load(quotes_at([start, start + 1, start + 2]))
        tape.advance(3)

    assert tape.find(Kind.QUOTE, 0, 0, 99).time_ns.tolist() == list(range(3, 12))


def test_laps_of_a_loop_lie_whole_days_apart() -> None:
    recording = Recording(INSTRUMENTS, quotes_at([5, DAY_NS + 7]))
    laps = recording.chunks(loop=True)
    first, second = next(laps), next(laps)

    assert (second.time_ns - first.time_ns).tolist() == [2 * DAY_NS] * 2
    assert len(list(recording.chunks(loop=False))) == 1


def test_last_quotes_are_the_newest_of_each_instrument() -> None:
    ticks = Ticks.concat([quotes_at([1, 2]), quotes_at([3], instrument=1), a_trade(7, time_ns=4)])

    assert Recording(INSTRUMENTS, ticks).last_quotes().time_ns.tolist() == [2, 3]
    assert len(Recording(INSTRUMENTS, a_trade(7)).last_quotes()) == 0


async def run_until(pump: Pump, done: Callable[[], bool]) -> None:
    """Run the pump until a condition holds."""
    task = asyncio.create_task(pump.run())
    try:
        await until(done, "the pump")
    finally:
        task.cancel()


def a_pump(market: Market, feed: Feed, ticks: Ticks, speed: float | None = None, **rules: object) -> Pump:
    recording = Recording(INSTRUMENTS, ticks)
    chosen = PumpRules(speed, waits=True, patient=True, **rules)  # type: ignore[arg-type]
    return Pump(market, feed, recording.chunks(loop=False), recording.last_quotes(), chosen, SystemClock())


async def test_a_replay_waits_for_its_audience_and_then_loses_nothing() -> None:
    market, feed, ear = a_market(), Feed(), Ear(listening=False)
    feed.join(ear)
    pump = a_pump(market, feed, quotes_at(list(range(1_000))), frame_ticks=64)
    task = asyncio.create_task(pump.run())
    await asyncio.sleep(0)
    assert (pump.progress.state, ear.ticks) == (State.WAITING, 0)
    ear.listening = True
    feed.subscriptions_changed()
    await until(lambda: pump.progress.state is State.FINISHED, "the end")
    task.cancel()

    assert ear.ticks == pump.progress.position == 1_000
    assert max(len(batch.ticks) for batch in ear.heard) == 64


async def test_a_replay_stands_still_when_its_audience_leaves() -> None:
    market, feed, ear = a_market(), Feed(), Ear()
    feed.join(ear)
    feed.subscriptions_changed()
    pump = a_pump(market, feed, quotes_at(list(range(1_000))), frame_ticks=1)
    task = asyncio.create_task(pump.run())
    await until(lambda: ear.ticks >= 10, "some ticks")
    feed.leave(ear)
    await until(lambda: pump.progress.state is State.WAITING, "the pump to wait")
    task.cancel()

    assert pump.progress.position < 1_000


async def test_after_the_end_the_last_quote_is_repeated_so_that_orders_fill() -> None:
    market, feed, ear = a_market(), Feed(), Ear()
    feed.join(ear)
    feed.subscriptions_changed()
    pump = a_pump(market, feed, quotes_at([1, 2]), repeat_s=0.01)
    order = market.exchange.submit(a_request(quantity=300, limit=10.02), 1)

    await run_until(pump, lambda: market.exchange.order(order.order_id).status is Status.FILLED)
    assert ear.ticks == 2
    assert any(batch.repeated for batch in ear.heard)
    assert market.said[Kind.QUOTE, 0] == 2


async def test_at_a_factor_ticks_come_at_their_own_distance() -> None:
    market, feed, ear = a_market(), Feed(), Ear()
    feed.join(ear)
    feed.subscriptions_changed()
    pump = a_pump(market, feed, quotes_at([0, 50_000_000, 100_000_000]), speed=2.0)
    loop = asyncio.get_running_loop()
    began = loop.time()

    await run_until(pump, lambda: ear.ticks == 3)
    assert loop.time() - began >= 0.05


async def test_day_orders_end_with_the_trading_day() -> None:
    driver = ExchangeDriver().quote(99.99, 300, 100.01, 200)
    order = driver.submit(a_request(limit=90.0, time_in_force=TimeInForce.DAY))
    market = a_market()
    market.exchange = driver.exchange
    sessions, clock = Sessions(SessionRule.ALWAYS), ManualClock(0)
    clock.advance(sessions.next_close_ns(0) - 1_000_000)
    task = asyncio.create_task(keep_days(DayEnds(driver.exchange, sessions, clock.now_ns()), clock))
    await asyncio.sleep(0)
    assert driver.order(order).status is Status.NEW
    clock.advance(1_000_000)
    await until(lambda: driver.order(order).status is Status.EXPIRED, "the expiry")
    task.cancel()

    assert driver.order(order).expired_ns == clock.now_ns()


async def test_a_replay_ends_its_days_by_its_own_clock() -> None:
    """What is said from the close on finds no DAY order of a share any more; a coin's waits for midnight."""
    sessions, market, feed, ear = Sessions(SessionRule.NYSE), a_market(), Feed(), Ear()
    closes_ns = sessions.next_close_ns(0)
    feed.join(ear)
    feed.subscriptions_changed()
    ticks = Ticks.concat([quotes_at([closes_ns - 2, closes_ns - 1, closes_ns])])
    pump = Pump(
        market,
        feed,
        Recording(INSTRUMENTS, ticks).chunks(loop=False),
        Ticks.empty(),
        PumpRules(None, waits=True, patient=True),
        SystemClock(),
        DayEnds(market.exchange, sessions, closes_ns - 2),
    )
    terms = {"quantity": 10, "limit": 5.0, "time_in_force": TimeInForce.DAY}
    share, coin = (market.exchange.submit(a_request(**terms, symbol=s), 1) for s in ("AAPL", "BTC-USDT"))
    told: list[tuple[int, str]] = []
    market.exchange.listen(lambda event: told.append((ear.ticks, event.order.symbol)))

    await run_until(pump, lambda: pump.progress.state is State.FINISHED)
    assert told == [(2, "AAPL")]
    assert market.exchange.order(share.order_id).status is Status.EXPIRED
    assert market.exchange.order(coin.order_id).status is Status.NEW
    assert market.time_ns == closes_ns


async def test_where_the_market_closes_orders_wait_for_its_next_quotes() -> None:
    driver = ExchangeDriver().quote(99.99, 300, 100.01, 200).quote(9, 1, 10, 1, symbol="BTC-USDT")
    market = a_market()
    market.exchange = driver.exchange
    sessions, clock = Sessions(SessionRule.NYSE), ManualClock(0)
    clock.advance(sessions.next_close_ns(0))
    clock.advance(-1)
    task = asyncio.create_task(keep_days(DayEnds(driver.exchange, sessions, clock.now_ns()), clock))
    await asyncio.sleep(0)
    clock.advance(1)
    await until(lambda: driver.exchange.touch("AAPL").ask == 0, "the close")
    task.cancel()
    order = driver.submit(a_request(quantity=10))

    assert order.status is Status.NEW
    assert driver.submit(a_request(quantity="0.5", symbol="BTC-USDT")).status is Status.FILLED
    driver.quote(99.0, 100, 101.0, 100)
    assert driver.fills_of(order) == [(101.0, 10.0)]


@pytest.mark.parametrize(
    ("start", "first", "last"),
    [("2026-03-04T20:59:58", True, False), ("2026-03-04T15:00:00", True, True), ("2026-03-07T15:00:00", False, False)],
)
def test_shares_are_quoted_within_their_session_and_coins_always(start: str, first: bool, last: bool) -> None:
    settings = Settings(sessions=SessionRule.NYSE, symbols=("AAPL", "BTC-USDT"))
    begins_ns = int(np.datetime64(start, "ns").astype(np.int64))
    source = simulated(settings, begins_ns)
    chunk = next(source.chunks)
    halves = [chunk[chunk.time_ns < begins_ns + 2 * 10**9], chunk[chunk.time_ns >= begins_ns + 2 * 10**9]]

    assert [bool((half.instrument == 0).any()) for half in halves] == [first, last]
    assert all((half.instrument == 1).any() for half in halves)


async def test_an_outbox_makes_a_patient_sender_wait_for_room() -> None:
    outbox: Outbox[int] = Outbox(1)
    await outbox.put(1)
    waiting = asyncio.create_task(outbox.put(2))
    await asyncio.sleep(0)
    assert not waiting.done()

    assert await outbox.get() == 1
    await waiting
    assert await outbox.get() == 2


async def test_a_full_outbox_refuses_what_is_offered() -> None:
    outbox: Outbox[int] = Outbox(1)

    assert outbox.offer(1)
    assert not outbox.offer(2)


async def test_closing_an_outbox_frees_who_waits_for_room() -> None:
    outbox: Outbox[int] = Outbox(1)
    await outbox.put(1)
    waiting = asyncio.create_task(outbox.put(2))
    await asyncio.sleep(0)
    outbox.close()

    await asyncio.wait_for(waiting, 1)
    assert not outbox.offer(3)


@pytest.mark.parametrize(
    ("rule", "now", "is_open", "opens", "closes"),
    [
        (SessionRule.NYSE, "2026-03-04T15:00:00", True, "2026-03-05T14:30:00", "2026-03-04T21:00:00"),
        (SessionRule.NYSE, "2026-03-04T14:29:59", False, "2026-03-04T14:30:00", "2026-03-04T21:00:00"),
        (SessionRule.NYSE, "2026-03-06T21:00:00", False, "2026-03-09T13:30:00", "2026-03-09T20:00:00"),
        (SessionRule.ALWAYS, "2026-03-07T12:00:00", True, "2026-03-08T05:00:00", "2026-03-08T05:00:00"),
    ],
)
def test_sessions_know_when_the_market_opens_and_closes(
    rule: SessionRule, now: str, is_open: bool, opens: str, closes: str
) -> None:
    def ns(text: str) -> int:
        return int(np.datetime64(text, "ns").astype(np.int64))

    sessions = Sessions(rule)
    assert sessions.is_open(ns(now)) is is_open
    assert sessions.next_open_ns(ns(now)) == ns(opens)
    assert sessions.next_close_ns(ns(now)) == ns(closes)
