"""Ticks are numbered, published, remembered and made into bars; what cannot be published is counted."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import numpy as np
from builders.market import NOON_NS, a_bar, a_coin, a_quote_block, a_trade_block, nanos
from fakes.market_data import FakePublisher

from services.market_data.domain.bars import BarBook
from services.market_data.domain.corrections import TradeCorrection
from services.market_data.domain.future import FutureGuard
from services.market_data.domain.gaps import Gap, GapWatch
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.sessions import Halt, SessionState
from services.market_data.domain.stats import VenueCounts
from services.market_data.domain.ticks import Carried, Ticks
from services.market_data.domain.trade_line import LineRules, Passed
from services.market_data.domain.trade_lines import TradeLines
from services.market_data.usecases.publish_ticks import MarketState, PublishTicks
from services.market_data.usecases.stream_quotes import QuoteStream, QuoteStreams
from trading.clock import MINUTE_NS
from trading.market import Interval
from trading.money import ONE

HOUR_NS = 60 * MINUTE_NS


@dataclass
class Counter:
    counts: VenueCounts = field(default_factory=VenueCounts)
    fills: int = 0
    gaps: int = 0
    missed: tuple[int, int] = (0, 0)

    def read(self, ticks: Ticks) -> None:
        self.counts.quotes += sum(map(len, ticks.quotes)) + len(ticks.carried)
        self.counts.trades += sum(map(len, ticks.trades))

    def published(self, blocks: int) -> None:
        self.counts.blocks += blocks

    def filled(self, trades: int) -> None:
        self.fills += trades

    def gap(self) -> None:
        self.gaps += 1

    def bars(self, late: int, uncorrected: int) -> None:
        self.missed = late, uncorrected

    def dropped(self, ticks: int) -> None:
        self.counts.dropped += ticks

    def reconnected(self) -> None:
        self.counts.reconnects += 1


class Market:
    """The use case with everything around it in reach."""

    def __init__(self) -> None:
        self.publisher, self.meter, self.gaps = FakePublisher(), Counter(), GapWatch("paper")
        board = QuoteBoard()
        self.state = MarketState(board, LiveBars(100), QuoteStreams(board, streams_most=2, blocks_most=4))
        bars = BarBook("paper", [Interval.ONE_MINUTE], 0)
        self.lines, guard = TradeLines("paper", LineRules()), FutureGuard(10 * ONE, 3)
        self.owned = True
        self.publish = PublishTicks(
            self.state, bars, self.gaps, self.lines, guard, self.publisher, self.meter, lambda _: self.owned
        )

    def live_bars(self) -> list[int]:
        return [bar.close_nanos for bar in self.state.live_bars.over([], "AAPL", NOON_NS, NOON_NS + HOUR_NS)]


async def test_blocks_are_numbered_without_holes_by_symbol_and_kind() -> None:
    market = Market()

    await market.publish(Ticks((a_quote_block((1, 2), (1, 2)), a_quote_block((1, 2), symbol="MSFT"))))
    await market.publish(Ticks((a_quote_block((1, 2)),), (a_trade_block((1, 1), (2, 1)),)))

    assert [(block.symbol, first) for block, first in market.publisher.quote_blocks] == [
        ("AAPL", 0),
        ("MSFT", 0),
        ("AAPL", 2),
    ]
    assert [(len(block), first) for block, first in market.publisher.trade_blocks] == [(2, 0)]
    assert market.meter.counts == VenueCounts(quotes=4, trades=2, blocks=4)


async def test_the_board_and_the_streams_hear_of_the_ticks() -> None:
    market = Market()

    with market.state.streams.open(["AAPL"]) as stream:
        await market.publish(Ticks((a_quote_block((1, 2)),), (a_trade_block((1.5, 3)),)))
        async for block, first in stream:
            assert (block.symbol, first) == ("AAPL", 0)
            break

    newest = market.state.board.get("AAPL")
    assert newest is not None
    assert newest.last_trade_price_nanos == nanos(1.5)


async def test_a_quote_alone_is_published_at_once_and_everything_else_follows() -> None:
    market = Market()
    await market.publish(Ticks((a_quote_block((1, 2)),)))
    alone = a_quote_block((10, 12), times_ns=[NOON_NS + MINUTE_NS])

    assert market.publish.at_once(alone) == 1
    assert market.publisher.quote_blocks[-1] == (alone, 1)
    assert (market.meter.counts.quotes, market.meter.counts.blocks, market.publisher.bars) == (1, 1, [])

    with market.state.streams.open(["AAPL"]) as stream:
        await market.publish(Ticks(carried=(Carried(alone, 1),)))
        heard = [first async for first in _first_two(stream)]

    assert heard == [0, 1]
    newest = market.state.board.get("AAPL")
    assert newest is not None
    assert newest.quote.bid_nanos == nanos(10)
    assert market.meter.counts == VenueCounts(quotes=2, blocks=2)
    assert [bar.close_nanos for bar in market.publisher.bars] == [nanos(1.5)]
    assert len(market.publisher.quote_blocks) == 2
    await market.publish(Ticks((a_quote_block((1, 2)),)))
    assert market.publisher.quote_blocks[-1][1] == 2


async def test_a_quote_alone_goes_the_long_way_where_something_has_to_be_told_or_waited_for() -> None:
    market = Market()
    alone = a_quote_block((10, 12))

    assert market.publish.at_once(alone) is None  # the first of its symbol: its bar is not whole
    await market.publish(Ticks((alone,)))
    market.gaps.lost(frozenset(("AAPL",)), "reset")
    assert market.publish.at_once(alone) is None  # a gap comes first
    await market.publish(Ticks((alone,)))
    assert (
        market.publish.at_once(a_quote_block((1, 2), times_ns=[NOON_NS + HOUR_NS], received_ns=[NOON_NS])) is None
    )  # its future
    market.publisher.is_away = True
    assert market.publish.at_once(alone) is None
    market.publisher.is_away = False

    assert market.publish.at_once(alone) == 2
    assert [first for _, first in market.publisher.quote_blocks] == [0, 1, 2]


async def _first_two(stream: QuoteStream) -> AsyncIterator[int]:
    count = 0
    async for _, first in stream:
        yield first
        count += 1
        if count == 2:
            return


async def test_closed_bars_are_published_and_kept() -> None:
    market = Market()

    await market.publish(Ticks(trades=(a_trade_block((10, 1)),)))
    await market.publish(Ticks(trades=(a_trade_block((11, 1), times_ns=[NOON_NS + MINUTE_NS]),)))
    await market.publish.close_bars(NOON_NS + 5 * MINUTE_NS)

    assert [bar.close_nanos for bar in market.publisher.bars] == [nanos(10), nanos(11)]
    assert market.live_bars() == [nanos(10), nanos(11)]


async def test_quotes_close_the_bars_of_a_symbol_without_trades() -> None:
    market = Market()

    await market.publish(Ticks((a_quote_block((10, 12)),)))
    await market.publish(Ticks((a_quote_block((10, 12), times_ns=[NOON_NS + MINUTE_NS]),)))

    assert [bar.close_nanos for bar in market.publisher.bars] == [nanos(11)]


async def test_the_bar_in_which_we_began_to_listen_is_not_taken_for_whole() -> None:
    market = Market()

    await market.publish(Ticks(trades=(a_trade_block((10, 1), times_ns=[NOON_NS + 1]),)))
    await market.publish.close_bars(NOON_NS + 5 * MINUTE_NS)

    assert market.state.live_bars.over([a_bar(7)], "AAPL", NOON_NS, NOON_NS + HOUR_NS) == [a_bar(7)]


async def test_quotes_after_a_reconnect_publish_the_gap_and_doubt_the_bars_under_it() -> None:
    market = Market()
    await market.publish(Ticks((a_quote_block((10, 10)),)))

    market.gaps.lost(frozenset(("AAPL",)), "reset")
    await market.publish(Ticks((a_quote_block((11, 11), times_ns=[NOON_NS + MINUTE_NS + 5]),)))
    await market.publish.close_bars(NOON_NS + 9 * MINUTE_NS)

    (gap,) = market.publisher.gaps
    assert (gap.symbol, gap.from_time_ns, gap.to_time_ns) == ("AAPL", NOON_NS, NOON_NS + MINUTE_NS + 5)
    theirs = [a_bar(1), a_bar(2, minute=1)]
    assert market.state.live_bars.over(theirs, "AAPL", NOON_NS, NOON_NS + HOUR_NS) == theirs


async def test_trades_from_the_venue_s_memory_are_published_in_turn_and_doubt_the_bars_under_them() -> None:
    market = Market()
    await market.publish(Ticks(trades=(a_trade_block((10, 1)),)))
    late = a_trade_block((10, 2), (10, 3), times_ns=[NOON_NS + 1, NOON_NS + 2])
    gap = Gap("paper", "AAPL", NOON_NS, NOON_NS + 1, "trades missed")

    await market.publish.filled("AAPL", Passed(late, gap))
    await market.publish.close_bars(NOON_NS + 9 * MINUTE_NS)

    assert [(len(block), first) for block, first in market.publisher.trade_blocks] == [(1, 0), (2, 1)]
    assert market.publisher.gaps == [gap]
    assert (market.meter.fills, market.meter.gaps) == (2, 1)
    assert market.state.live_bars.over([a_bar(7)], "AAPL", NOON_NS, NOON_NS + HOUR_NS) == [a_bar(7)]


async def test_no_bar_is_closed_by_silence_while_missing_trades_are_on_their_way() -> None:
    market = Market()
    await market.publish(Ticks(trades=(a_trade_block((10, 1)),)))
    market.lines.hold(["AAPL"], "reset")

    await market.publish.close_bars(NOON_NS + 9 * MINUTE_NS)

    assert market.publisher.bars == []


async def test_a_tick_from_the_far_future_moves_neither_the_quote_nor_a_bar_and_is_counted() -> None:
    market = Market()
    far_ns = NOON_NS + 10**18
    await market.publish(Ticks((a_quote_block((1, 2)),), (a_trade_block((1, 1)),)))

    poison = a_quote_block((8, 9), times_ns=[far_ns], received_ns=[NOON_NS])
    bad_trade = replace(a_trade_block((9, 9), times_ns=[far_ns]), receive_time_ns=np.array([NOON_NS]))
    await market.publish(Ticks((poison,), (bad_trade,)))

    newest = market.state.board.get("AAPL")
    assert newest is not None
    assert (newest.quote.bid_nanos, newest.last_trade_price_nanos) == (nanos(1), nanos(1))
    assert (market.publisher.bars, market.meter.counts.dropped) == ([], 2)
    assert market.lines.mark("AAPL").time_ns == NOON_NS


async def test_what_another_venue_answers_for_is_published_and_no_more() -> None:
    market = Market()
    market.owned = False

    await market.publish(Ticks((a_quote_block((1, 2)),), (a_trade_block((1, 1)),)))
    await market.publish.close_bars(NOON_NS + 9 * MINUTE_NS)

    assert (len(market.publisher.quote_blocks), len(market.publisher.trade_blocks)) == (1, 1)
    assert market.state.board.get("AAPL") is None
    assert market.live_bars() == []


async def test_unreadable_ticks_are_counted_as_dropped() -> None:
    market = Market()

    await market.publish(Ticks(refused=3))

    assert market.meter.counts == VenueCounts(dropped=3)


async def test_without_nats_ticks_are_counted_as_dropped_and_the_sequence_shows_it() -> None:
    market = Market()
    market.publisher.is_away = True
    await market.publish(Ticks((a_quote_block((1, 2), (1, 2)),), (a_trade_block((1, 1)),)))
    market.gaps.lost(frozenset(("AAPL",)), "reset")
    await market.publish(Ticks((a_quote_block((3, 4), times_ns=[NOON_NS + MINUTE_NS]),)))

    market.publisher.is_away = False
    await market.publish(Ticks((a_quote_block((5, 6)),)))

    assert [first for _, first in market.publisher.quote_blocks] == [3]
    assert market.meter.counts == VenueCounts(quotes=4, trades=1, blocks=1, dropped=4)
    newest = market.state.board.get("AAPL")
    assert newest is not None
    assert newest.quote.bid_nanos == nanos(5)
    assert market.live_bars() == [nanos(1)]


async def test_a_cancelled_trade_is_taken_out_of_its_bar_which_is_published_again() -> None:
    market = Market()
    later = a_trade_block((10, 1), times_ns=[NOON_NS + MINUTE_NS])
    await market.publish(Ticks(trades=(a_trade_block((10, 1), (99, 1)),)))
    await market.publish(Ticks(trades=(replace(later, trade_ids=("9",)),)))

    await market.publish(Ticks(news=(TradeCorrection("AAPL", "1"),)))

    assert [(bar.high_nanos, bar.revision) for bar in market.publisher.bars] == [(nanos(99), 0), (nanos(10), 1)]
    assert market.live_bars() == [nanos(10)]


async def test_a_halt_is_known_to_whoever_asks_for_the_instrument() -> None:
    market = Market()

    await market.publish(Ticks(news=(Halt("BTC-USDT", is_halted=True),)))

    assert market.state.session_of(a_coin(), NOON_NS).state is SessionState.HALTED


async def test_what_bars_could_not_take_in_is_counted() -> None:
    market = Market()
    await market.publish(Ticks(trades=(a_trade_block((10, 1), times_ns=[NOON_NS + HOUR_NS]),)))
    await market.publish(Ticks(trades=(replace(a_trade_block((10, 1)), trade_ids=("late",)),)))
    await market.publish(Ticks(news=(TradeCorrection("AAPL", "unknown"),)))

    await market.publish.close_bars(NOON_NS + HOUR_NS)

    assert market.meter.missed == (1, 1)
