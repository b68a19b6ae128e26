"""Any spelling of a symbol is understood, and the canonical one is given back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidArgument, UnknownSymbol
from trading.instruments import (
    CATALOGUE,
    DEFAULT_BENCHMARK,
    DEFAULT_SYMBOLS,
    AssetClass,
    Instrument,
    Instruments,
    crypto,
    equity,
    parse_symbol,
)

PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32)


@pytest.mark.parametrize("spelling", ["BTC-USDT", "btc-usdt", "BTC/USD", "X:BTCUSD", "BTCUSDT", "btcusdt"])
def test_every_venue_s_spelling_finds_the_coin(spelling: str) -> None:
    instruments = Instruments(CATALOGUE)
    assert instruments.get(spelling).symbol == "BTC-USDT"
    assert spelling in instruments


@pytest.mark.parametrize(
    ("venue", "spelling"),
    [("alpaca", "BTC/USD"), ("polygon", "X:BTCUSD"), ("binance", "BTCUSDT"), ("paper", "BTC-USDT")],
)
def test_a_coin_is_spelt_for_each_venue(venue: str, spelling: str) -> None:
    assert crypto("BTC").venue_symbol(venue) == spelling


@pytest.mark.parametrize("symbol", [*DEFAULT_SYMBOLS, DEFAULT_BENCHMARK])
def test_the_default_symbols_are_in_the_catalogue(symbol: str) -> None:
    assert Instruments(CATALOGUE).get(symbol).symbol == symbol


def test_the_catalogue_has_no_symbol_twice_and_a_sector_for_each() -> None:
    assert len(Instruments(CATALOGUE)) == len(CATALOGUE)
    assert all(instrument.sector and instrument.name for instrument in CATALOGUE)


def test_only_shares_may_be_sold_short() -> None:
    assert {instrument.asset_class for instrument in CATALOGUE if not instrument.shortable} == {AssetClass.CRYPTO}


def test_an_unknown_symbol_is_not_found() -> None:
    with pytest.raises(UnknownSymbol) as refusal:
        Instruments(CATALOGUE).get("NOPE")
    assert refusal.value.metadata == {"symbol": "NOPE"}


@given(PRINTABLE)
def test_printable_symbols_pass_as_they_are(text: str) -> None:
    assert parse_symbol(text) == text


@pytest.mark.parametrize("text", ["", "A" * 33, "A B", "A\n", "\x00", "ÄÖÜ", "A\u200b"])
def test_what_can_be_no_symbol_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_symbol(text)


def test_a_newer_version_of_an_instrument_takes_its_place() -> None:
    instruments = Instruments([equity("AAPL")])
    instruments.add(equity("AAPL", sector="Technology"))
    assert [instrument.sector for instrument in instruments] == ["Technology"]


@pytest.mark.parametrize("canonical_first", [True, False])
def test_a_foreign_spelling_never_hides_a_canonical_symbol(canonical_first: bool) -> None:
    share = equity("BTCUSDT")
    added = [share, crypto("BTC")] if canonical_first else [crypto("BTC"), share]
    assert Instruments(added).get("BTCUSDT") is share


def test_what_is_no_text_is_not_contained() -> None:
    assert 5 not in Instruments(CATALOGUE)


def test_an_instrument_without_spellings_has_one_name_everywhere() -> None:
    assert Instrument("AAPL").venue_symbol("alpaca") == "AAPL"
