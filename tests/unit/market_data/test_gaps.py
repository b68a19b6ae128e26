"""A hole reaches from the last tick before a loss to the first after it, once."""

from services.market_data.domain.gaps import Gap, GapWatch

BOTH = frozenset(("AAPL", "MSFT"))


def test_ticks_without_a_loss_leave_no_gap() -> None:
    watch = GapWatch("paper")

    assert [watch.saw("AAPL", 1, 5), watch.saw("AAPL", 90, 95)] == [None, None]


def test_the_first_ticks_after_a_loss_end_the_gap() -> None:
    watch = GapWatch("paper")
    watch.saw("AAPL", 1, 5)
    watch.lost(BOTH, "reset")

    assert watch.saw("AAPL", 9, 12) == Gap("paper", "AAPL", 5, 9, "reset")
    assert watch.saw("AAPL", 20, 21) is None


def test_each_symbol_has_its_own_gap() -> None:
    watch = GapWatch("paper")
    watch.saw("AAPL", 1, 5)
    watch.saw("MSFT", 2, 3)
    watch.lost(BOTH, "reset")

    gaps = [watch.saw("MSFT", 7, 8), watch.saw("AAPL", 9, 9)]

    assert [(gap.from_time_ns, gap.to_time_ns) for gap in gaps if gap] == [(3, 7), (5, 9)]


def test_a_symbol_that_was_never_seen_has_no_gap() -> None:
    watch = GapWatch("paper")
    watch.lost(BOTH, "reset")

    assert watch.saw("AAPL", 1, 2) is None


def test_a_loss_of_another_connection_does_not_touch_a_symbol() -> None:
    watch = GapWatch("paper")
    watch.saw("AAPL", 1, 5)
    watch.lost(frozenset(("BTC-USDT",)), "reset")

    assert watch.saw("AAPL", 9, 9) is None


def test_the_first_of_several_losses_gives_the_reason() -> None:
    watch = GapWatch("paper")
    watch.saw("AAPL", 1, 5)
    watch.lost(BOTH, "reset")
    watch.lost(BOTH, "refused")

    gap = watch.saw("AAPL", 9, 9)

    assert gap is not None
    assert gap.reason == "reset"


def test_ticks_out_of_order_never_give_a_gap_that_runs_backwards() -> None:
    watch = GapWatch("paper")
    watch.saw("AAPL", 1, 50)
    watch.saw("AAPL", 2, 3)
    watch.lost(BOTH, "reset")

    assert watch.saw("AAPL", 40, 60) == Gap("paper", "AAPL", 50, 50, "reset")
