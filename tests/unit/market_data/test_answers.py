"""What callers get: quotes, streams of quotes, pages of bars, and the mirror in the cache."""

import asyncio
from typing import Any

import pytest
from builders.market import CRYPTO, EQUITY, NOON_NS, a_bar, a_quote_block, nanos
from fakes.market_data import FakeHistory, FakeQuoteCache, eventually

from services.market_data.domain.activity_bars import parse_rule
from services.market_data.domain.bar_query import BarQuery, bar_query
from services.market_data.domain.feed import Feed, FeedState, Venue
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.registry import Registry
from services.market_data.usecases.get_quote import GetQuote
from services.market_data.usecases.list_bars import ListBars
from services.market_data.usecases.mirror_quotes import MirrorQuotes
from services.market_data.usecases.stream_quotes import QuoteStreams
from trading.clock import DAY_NS, MINUTE_NS
from trading.errors import InvalidArgument, ResourceExhausted, Unavailable, UnknownSymbol
from trading.market import Bar

CHANNELS = {EQUITY: "stocks", CRYPTO: "crypto"}
SYMBOLS = ("MSFT", "AAPL", "TSLA")


def a_board(*symbols: str) -> QuoteBoard:
    board = QuoteBoard()
    for symbol in symbols:
        board.put_quotes(a_quote_block((1, 2), (3, 4), symbol=symbol), 0)
    return board


@pytest.mark.parametrize(("state", "stale"), [(FeedState.UP, False), (FeedState.STALE, True), (FeedState.DOWN, True)])
def test_a_quote_says_whether_its_feed_still_speaks(state: FeedState, stale: bool) -> None:
    venue = Venue("paper", CHANNELS.values())
    venue.put("stocks", Feed(state), 0)
    venue.put("crypto", Feed(FeedState.UP), 0)
    get_quote = GetQuote(Registry(["AAPL", "BTC-USDT"]), a_board("AAPL", "BTC-USDT"), {"paper": venue})

    newest, is_stale = get_quote("aapl")
    _, is_other_stale = get_quote("BTC/USD")

    assert (newest.quote.bid_nanos, is_stale, is_other_stale) == (nanos(3), stale, False)


def test_a_quote_that_has_not_come_yet_is_unavailable_and_a_stranger_is_unknown() -> None:
    get_quote = GetQuote(Registry(["AAPL"]), QuoteBoard(), {"paper": Venue("paper", CHANNELS.values())})

    with pytest.raises(Unavailable, match="No quote of AAPL"):
        get_quote("AAPL")
    with pytest.raises(UnknownSymbol):
        get_quote("MSFT")


async def test_a_stream_begins_with_the_newest_quote_of_each_symbol_and_goes_on_with_blocks() -> None:
    streams = QuoteStreams(a_board("AAPL", "MSFT"), streams_most=1, blocks_most=10)

    with streams.open(["MSFT", "AAPL", "TSLA"]) as stream:
        streams.offer(a_quote_block((5, 6), (7, 8), symbol="TSLA"), 40)
        streams.offer(a_quote_block((5, 6), symbol="IBM"), 0)
        seen = [(block.symbol, len(block), first) async for block, first in _first(stream, 3)]

    assert seen == [("MSFT", 1, 1), ("AAPL", 1, 1), ("TSLA", 2, 40)]


async def test_a_slow_reader_loses_the_oldest_blocks_and_sees_it_in_the_sequence() -> None:
    streams = QuoteStreams(QuoteBoard(), streams_most=1, blocks_most=2)

    with streams.open(["AAPL"]) as stream:
        for first in range(5):
            streams.offer(a_quote_block((1, 2)), first)
        seen = [first async for _, first in _first(stream, 2)]

    assert seen == [3, 4]


async def test_a_waiting_reader_is_woken_by_a_block() -> None:
    streams = QuoteStreams(QuoteBoard(), streams_most=1, blocks_most=2)
    seen: list[int] = []

    async def read() -> None:
        with streams.open(["AAPL"]) as stream:
            async for _, first in stream:
                seen.append(first)

    reader = asyncio.create_task(read())
    await asyncio.sleep(0)
    for first in range(3):
        streams.offer(a_quote_block((1, 2)), first)
        await eventually(lambda first=first: seen[-1:] == [first])  # type: ignore[misc]
    reader.cancel()
    await asyncio.wait([reader])

    with streams.open(["AAPL"]):
        pass  # the reader's place is free again


async def test_more_streams_than_allowed_are_refused() -> None:
    streams = QuoteStreams(QuoteBoard(), streams_most=1, blocks_most=2)

    with streams.open(["AAPL"]), pytest.raises(ResourceExhausted) as refused, streams.open(["AAPL"]):
        pass

    assert refused.value.metadata["retry_after_s"] == 5


async def test_a_page_holds_every_bar_in_the_caller_s_order_of_symbols() -> None:
    bars = [a_bar(symbol=symbol, minute=minute) for symbol in sorted(SYMBOLS) for minute in range(3)]

    found = await _all_pages(FakeHistory(*bars), LiveBars(10), page_size=100)

    assert [(bar.symbol, bar.timestamp_ns) for bar in found] == [
        (symbol, NOON_NS + minute * MINUTE_NS) for symbol in SYMBOLS for minute in range(3)
    ]


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 5, 8, 9, 10])
async def test_pages_of_any_size_together_hold_every_bar_once(page_size: int) -> None:
    live = LiveBars(10)
    live.add(a_bar(99, symbol="AAPL", minute=2))
    live.add(a_bar(98, symbol="AAPL", minute=5))
    bars = [a_bar(symbol=symbol, minute=minute) for symbol in SYMBOLS for minute in range(3)]

    found = await _all_pages(FakeHistory(*bars), live, page_size=page_size)

    assert [bar.symbol for bar in found] == ["MSFT"] * 3 + ["AAPL"] * 4 + ["TSLA"] * 3
    assert [bar.close_nanos for bar in found if bar.symbol == "AAPL"] == list(map(nanos, (100, 100, 99, 98)))


async def test_live_minutes_do_not_appear_among_longer_bars() -> None:
    live = LiveBars(10)
    live.add(a_bar(99))
    days = FakeHistory(a_bar(5, interval="1d"))

    found, _ = await ListBars(Registry(["AAPL"]), days, live)(_query(("AAPL",), interval="1d"))

    assert found == [a_bar(5, interval="1d")]


async def test_symbols_whose_bars_fit_are_asked_for_together() -> None:
    history = FakeHistory()
    query = _query(SYMBOLS, interval="1d", page_size=1_000)

    await ListBars(Registry(SYMBOLS), history, LiveBars(1))(query)

    assert history.questions == [SYMBOLS]


async def test_bars_of_activity_come_from_this_run_page_by_page_and_ask_no_venue() -> None:
    live, history, rule = LiveBars(10), FakeHistory(), parse_rule("tick-5")
    bars = [a_bar(at, minute=at, symbol=symbol, interval="tick-5") for symbol in ("MSFT", "AAPL") for at in range(1, 4)]
    for bar in (*bars, a_bar(9, minute=1)):
        live.add(bar)
    list_bars = ListBars(Registry(SYMBOLS), history, live, [rule])

    query, found = _query(("MSFT", "AAPL"), interval="tick-5", page_size=2), []
    while not query.is_done:
        page, query = await list_bars(query)
        found += page

    assert (found, history.questions) == (bars, [])


async def test_bars_of_activity_that_the_service_does_not_make_are_refused() -> None:
    list_bars = ListBars(Registry(SYMBOLS), FakeHistory(), LiveBars(1), [parse_rule("tick-5")])

    with pytest.raises(InvalidArgument, match="makes tick-5"):
        await list_bars(_query(("AAPL",), interval="tick-6"))


async def test_the_mirror_copies_what_changed_once() -> None:
    board, cache = a_board("AAPL", "MSFT"), FakeQuoteCache()
    mirror = MirrorQuotes(board, cache, 0.001)

    await mirror.once()
    assert set(cache.quotes) == {"AAPL", "MSFT"}

    cache.quotes.clear()
    await mirror.once()
    assert cache.quotes == {}


async def test_a_mirror_that_failed_copies_the_same_symbols_later() -> None:
    board, cache = a_board("AAPL"), FakeQuoteCache()
    cache.is_away = True
    mirroring = asyncio.create_task(MirrorQuotes(board, cache, 0.001)())
    await eventually(lambda: cache.attempts > 0)

    cache.is_away = False
    await eventually(lambda: "AAPL" in cache.quotes)
    mirroring.cancel()
    await asyncio.wait([mirroring])

    assert cache.quotes["AAPL"].quote.bid_nanos == nanos(3)


async def _all_pages(history: FakeHistory, live: LiveBars, *, page_size: int) -> list[Bar]:
    list_bars = ListBars(Registry(SYMBOLS), history, live)
    query, found = _query(SYMBOLS, page_size=page_size), []
    while not query.is_done:
        page, rest = await list_bars(query)
        assert 0 < len(page) <= page_size or rest.is_done
        found += page
        query = _query(SYMBOLS, page_size=page_size).resumed(rest.cursor()) if rest.cursor() else rest
    return found


def _query(symbols: tuple[str, ...], *, interval: str = "1m", page_size: int = 100) -> BarQuery:
    length = DAY_NS if interval == "1d" else MINUTE_NS
    return bar_query(symbols, interval, NOON_NS, NOON_NS + 10 * length, page_size, NOON_NS)


async def _first(stream: Any, count: int) -> Any:
    async for item in stream:
        yield item
        count -= 1
        if not count:
            return
