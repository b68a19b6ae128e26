"""The board knows the newest quote and trade of each symbol."""

from builders.market import a_quote_block, a_trade_block, nanos

from services.market_data.domain.quotes import QuoteBoard
from services.market_data.domain.ticks import Sequences, Ticks


def test_a_symbol_without_quotes_is_unknown_to_the_board() -> None:
    board = QuoteBoard()
    board.put_trades(a_trade_block((10, 1)))

    assert board.get("AAPL") is None
    assert board.newest_block("AAPL") is None


def test_the_last_quote_of_the_last_block_wins() -> None:
    board = QuoteBoard()
    board.put_quotes(a_quote_block((1, 2), (3, 4)), 0)
    board.put_quotes(a_quote_block((5, 6), (7, 8)), 2)

    newest = board.get("AAPL")

    assert newest is not None
    assert (newest.quote.bid_nanos, newest.quote.ask_nanos) == (nanos(7), nanos(8))
    assert (newest.last_trade_price_nanos, newest.last_trade_size_nanos) == (None, None)


def test_the_newest_trade_stands_beside_the_quote() -> None:
    board = QuoteBoard()
    board.put_quotes(a_quote_block((1, 2)), 0)
    board.put_trades(a_trade_block((1.5, 10), (1.6, 20)))

    newest = board.get("AAPL")

    assert newest is not None
    assert (newest.last_trade_price_nanos, newest.last_trade_size_nanos) == (nanos(1.6), nanos(20))


def test_the_newest_quote_as_a_block_keeps_its_sequence() -> None:
    board = QuoteBoard()
    board.put_quotes(a_quote_block((1, 2), (3, 4), (5, 6)), 10)

    found = board.newest_block("AAPL")

    assert found is not None
    block, sequence = found
    assert (len(block), int(block.bid_nanos[0]), sequence) == (1, nanos(5), 12)


def test_changes_are_given_once_and_come_back_when_given_back() -> None:
    board = QuoteBoard()
    board.put_quotes(a_quote_block((1, 2), symbol="MSFT"), 0)
    board.put_quotes(a_quote_block((1, 2), symbol="AAPL"), 0)

    changed = board.take_changed()
    again = board.take_changed()
    board.give_back(changed)

    assert [newest.quote.symbol for newest in changed] == ["AAPL", "MSFT"]
    assert again == []
    assert board.take_changed() == changed


def test_sequences_have_no_holes_and_belong_to_a_symbol() -> None:
    sequences = Sequences()

    assert [sequences.take("A", 3), sequences.take("B", 2), sequences.take("A", 1), sequences.take("A", 5)] == [
        0,
        0,
        3,
        4,
    ]


def test_the_count_of_a_drain_is_that_of_its_ticks() -> None:
    ticks = Ticks((a_quote_block((1, 2), (1, 2)),), (a_trade_block((1, 1)),), refused=7)

    assert ticks.count == 3
