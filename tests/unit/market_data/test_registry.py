"""The registry speaks of exactly the symbols that were asked for, in the words of the catalogue and the venue."""

import pytest
from builders.market import CRYPTO, EQUITY

from services.market_data.domain.registry import Registry, VenueAsset, infer
from trading.errors import InvalidArgument, UnknownSymbol


def an_asset(**facts: object) -> VenueAsset:
    usual: dict[str, object] = {
        "spelling": "AAPL", "asset_class": EQUITY, "name": "Apple", "tradable": True, "shortable": False,
    }  # fmt: skip
    return VenueAsset(**(usual | facts))  # type: ignore[arg-type]


def test_any_spelling_finds_the_instrument_of_the_catalogue() -> None:
    registry = Registry(["aapl", "BTC/USD"])

    assert [instrument.symbol for instrument in registry.all()] == ["AAPL", "BTC-USDT"]
    assert {registry.get(text).sector for text in ("AAPL", "aapl")} == {"Technology"}
    assert {registry.get(text).symbol for text in ("BTC-USDT", "btc/usd", "X:BTCUSD", "BTCUSDT")} == {"BTC-USDT"}


def test_a_symbol_that_was_not_asked_for_is_unknown() -> None:
    with pytest.raises(UnknownSymbol):
        Registry(["AAPL"]).get("MSFT")


@pytest.mark.parametrize(
    ("text", "symbol", "asset_class"),
    [
        ("GOOG", "GOOG", EQUITY),
        ("doge-usdt", "DOGE-USDT", CRYPTO),
        ("SOL/USD", "SOL-USDT", CRYPTO),
        ("/USD", "/USD", EQUITY),
    ],
)
def test_a_symbol_outside_the_catalogue_is_inferred(text: str, symbol: str, asset_class: object) -> None:
    instrument = infer(text)

    assert (instrument.symbol, instrument.asset_class) == (symbol, asset_class)


def test_what_can_be_no_symbol_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        infer("A B")


def test_the_venue_s_facts_win_and_its_silence_changes_nothing() -> None:
    registry = Registry(["AAPL"])
    before = registry.get("AAPL")

    registry.learn("AAPL", an_asset(tick_nanos=5, lot_nanos=None, min_quantity_nanos=7), "paper")

    after = registry.get("AAPL")
    assert (after.name, after.shortable, after.tick_nanos, after.min_quantity_nanos) == ("Apple", False, 5, 7)
    assert (after.lot_nanos, after.sector, after.currency) == (before.lot_nanos, before.sector, before.currency)


def test_an_unlisted_symbol_stays_visible_but_is_neither_streamed_nor_tradable() -> None:
    registry = Registry(["AAPL", "NOPE", "BTC-USDT"])
    registry.learn("NOPE", None, "paper")

    assert [instrument.symbol for instrument in registry.listed()] == ["AAPL", "BTC-USDT"]
    assert [instrument.symbol for instrument in registry.listed(CRYPTO)] == ["BTC-USDT"]
    assert (registry.unlisted(), registry.get("NOPE").tradable) == (["NOPE"], False)
    with pytest.raises(UnknownSymbol, match="paper does not list NOPE"):
        registry.quoted("NOPE")


def test_a_symbol_that_is_listed_later_comes_back() -> None:
    registry = Registry(["NOPE"])
    registry.learn("NOPE", None, "paper")
    registry.learn("NOPE", an_asset(), "paper")

    assert registry.quoted("NOPE").tradable
