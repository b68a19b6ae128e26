"""The first venue in the list that carries a symbol answers for it."""

import pytest
from builders.market import CRYPTO, EQUITY, NOON_NS, a_bar, a_share
from fakes.market_data import FakeHistory, FakeInstruments

from services.market_data.domain.coverage import Coverage
from services.market_data.domain.feed import FeedRefused
from services.market_data.domain.registry import Registry
from services.market_data.usecases.load_instruments import LoadInstruments
from services.market_data.usecases.owned_history import OwnedHistory
from trading.clock import DAY_NS
from trading.errors import UnknownSymbol
from trading.market import Interval


class Pair:
    """Two venues and what they say."""

    def __init__(self, first: FakeInstruments, second: FakeInstruments, *symbols: str) -> None:
        self.registry, self.coverage = Registry(symbols), Coverage(["first", "second"])
        self.first = LoadInstruments("first", self.registry, self.coverage, first)
        self.second = LoadInstruments("second", self.registry, self.coverage, second)


async def test_a_symbol_that_both_carry_belongs_to_the_first() -> None:
    pair = Pair(FakeInstruments("AAPL"), FakeInstruments("AAPL", "BTC-USDT"), "AAPL", "BTC-USDT")
    await pair.second()
    await pair.first()

    assert (pair.coverage.owner("AAPL"), pair.coverage.owner("BTC-USDT")) == ("first", "second")
    assert [one.symbol for one in pair.first.carried(EQUITY)] == ["AAPL"]
    assert [one.symbol for one in pair.first.carried(CRYPTO)] == []
    assert [one.symbol for one in pair.second.carried(CRYPTO)] == ["BTC-USDT"]


async def test_a_venue_that_has_not_answered_yet_keeps_its_claim() -> None:
    pair = Pair(FakeInstruments("AAPL"), FakeInstruments("AAPL"), "AAPL")
    await pair.second()

    assert pair.coverage.owner("AAPL") == "first"


async def test_a_venue_that_refuses_us_leaves_its_symbols_to_the_next() -> None:
    pair = Pair(FakeInstruments(failures=[FeedRefused("401")]), FakeInstruments("AAPL"), "AAPL")
    await pair.second()
    with pytest.raises(FeedRefused):
        await pair.first()

    assert pair.coverage.owner("AAPL") == "second"
    assert pair.registry.quoted("AAPL").tradable


async def test_a_symbol_that_nobody_carries_is_unknown_by_name() -> None:
    pair = Pair(FakeInstruments("AAPL"), FakeInstruments(), "AAPL", "NOPE")
    await pair.first()
    await pair.second()

    assert pair.coverage.owner("NOPE") is None
    with pytest.raises(UnknownSymbol, match="first, second does not list NOPE"):
        pair.registry.quoted("NOPE")


async def test_bars_come_from_the_owner_only() -> None:
    coverage = Coverage(["first", "second"])
    coverage.deny("first", ["MSFT", "NOPE"])
    coverage.deny("second", ["NOPE"])
    day = -1440
    both = [a_bar(symbol=symbol, minute=day, interval="1d") for symbol in ("AAPL", "MSFT", "NOPE")]
    first, second = FakeHistory(*both), FakeHistory(*both)

    asked = [a_share("AAPL"), a_share("MSFT"), a_share("NOPE")]
    found = await OwnedHistory(coverage, {"first": first, "second": second}).bars(
        asked, Interval.ONE_DAY, NOON_NS - 2 * DAY_NS, NOON_NS, 10
    )

    assert (first.questions, second.questions, sorted(found)) == ([("AAPL",)], [("MSFT",)], ["AAPL", "MSFT"])
