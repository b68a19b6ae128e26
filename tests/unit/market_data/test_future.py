"""A stray stamp from the future is refused; a venue whose clock is ahead is believed."""

from builders.market import NOON_NS, a_quote_block

from services.market_data.domain.future import FutureGuard
from trading.market import QuoteBlock
from trading.money import ONE


def quotes(*ahead_s: float, symbol: str = "AAPL") -> QuoteBlock:
    """Quotes received at noon and stamped this much later."""
    times = [NOON_NS + round(ahead * ONE) for ahead in ahead_s]
    return a_quote_block(*[(1, 2)] * len(times), times_ns=times, received_ns=[NOON_NS] * len(times), symbol=symbol)


def guard() -> FutureGuard:
    return FutureGuard(10 * ONE, 4)


def test_ticks_up_to_the_tolerance_pass_untouched() -> None:
    block = quotes(-100, 0, 10)

    assert guard().credible(block) == (block, 0)


def test_ticks_beyond_it_are_taken_out() -> None:
    fit, refused = guard().credible(quotes(0, 11, 1))

    assert (fit.event_time_ns.tolist(), refused) == ([NOON_NS, NOON_NS + ONE], 1)


def test_a_market_that_runs_faster_than_time_stays_believed() -> None:
    watch = guard()

    assert [watch.credible(quotes(ahead))[1] for ahead in (8, 16, 24, 200, 32)] == [0, 0, 0, 1, 0]


def test_enough_of_them_in_a_row_mean_that_the_venue_s_clock_is_ahead() -> None:
    watch = guard()

    assert [watch.credible(quotes(1000 + at))[1] for at in range(5)] == [1, 1, 1, 0, 0]


def test_a_credible_tick_ends_the_row() -> None:
    watch = guard()

    refused = [watch.credible(quotes(ahead))[1] for ahead in (1000, 1000, 0, 1000, 1000)]
    assert refused == [1, 1, 0, 1, 1]


def test_each_symbol_is_judged_by_itself() -> None:
    watch = guard()
    for _ in range(4):
        watch.credible(quotes(1000))

    assert watch.credible(quotes(1000, symbol="MSFT"))[1] == 1


def test_a_single_tick_is_believed_as_a_block_of_them_would_be() -> None:
    quick, slow = guard(), guard()

    for ahead in (0, 8, 16, 200, -5, 24):
        block = quotes(ahead)
        assert quick.believes(block) is (slow.credible(block)[1] == 0)


def test_a_single_credible_tick_ends_the_row() -> None:
    watch = guard()

    refused = [watch.credible(quotes(1000))[1] for _ in range(2)]
    assert watch.believes(quotes(0))
    assert refused + [watch.credible(quotes(1000))[1] for _ in range(2)] == [1, 1, 1, 1]
