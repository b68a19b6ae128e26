"""When a prediction becomes a signal."""

import pytest
from builders.inference import NOON_NS, SECOND_NS, a_prediction
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.prediction import SignalSide
from services.inference.domain.signals import REPLAY_LAG_NS, SignalBook, SignalRules, Target, decision_time_ns

RULES = SignalRules(threshold=0.6, release=0.55, strength_step=0.1, cooldown_ns=10, reaffirm_ns=100)


def said_at(book: SignalBook, at_ns: int, up: float, symbol: str = "AAPL") -> SignalSide | None:
    target = book.decide(a_prediction(up, symbol=symbol), at_ns)
    return target.side if target else None


def test_a_confident_prediction_takes_its_side_with_the_kelly_fraction() -> None:
    assert SignalBook(RULES).decide(a_prediction(0.75), 0) == Target(SignalSide.BUY, 0.5)
    assert SignalBook(RULES).decide(a_prediction(0.25), 0) == Target(SignalSide.SELL, 0.5)


def test_below_the_threshold_nothing_is_said() -> None:
    assert said_at(SignalBook(RULES), 0, 0.59) is None


@pytest.mark.parametrize("lacking", ["warm", "calibrated"])
def test_cold_features_and_uncalibrated_models_signal_nothing(lacking: str) -> None:
    assert SignalBook(RULES).decide(a_prediction(0.9, **{lacking: False}), 0) is None


def test_a_side_is_kept_until_its_confidence_falls_below_release() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.62)
    assert said_at(book, 20, 0.58) is None, "between release and threshold it is held"
    assert said_at(book, 40, 0.54) is SignalSide.FLAT
    assert said_at(book, 60, 0.58) is None, "and not taken again below the threshold"


def test_a_change_of_sides_needs_the_full_threshold() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.7)
    assert said_at(book, 20, 0.42) is SignalSide.FLAT
    assert said_at(book, 40, 0.3) is SignalSide.SELL


def test_flat_is_said_once() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.7)
    assert said_at(book, 20, 0.5) is SignalSide.FLAT
    assert said_at(book, 1_000, 0.5) is None


def test_nothing_follows_within_the_cooldown_and_the_change_comes_after_it() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.7)
    assert said_at(book, 9, 0.2) is None
    assert said_at(book, 10, 0.2) is SignalSide.SELL


def test_a_strength_that_hardly_changed_is_not_said_again() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.7)
    assert said_at(book, 20, 0.73) is None
    assert said_at(book, 40, 0.75) is SignalSide.BUY


def test_a_held_side_is_reaffirmed_after_silence() -> None:
    book = SignalBook(RULES)
    said_at(book, 0, 0.7)
    assert said_at(book, 99, 0.7) is None
    assert said_at(book, 100, 0.7) is SignalSide.BUY


def test_symbols_do_not_cool_one_another_down() -> None:
    book = SignalBook(RULES)
    assert said_at(book, 0, 0.7) is SignalSide.BUY
    assert said_at(book, 1, 0.7, symbol="TSLA") is SignalSide.BUY


def test_a_clock_that_went_back_has_cooled_down() -> None:
    book = SignalBook(RULES)
    said_at(book, 1_000, 0.7)
    assert said_at(book, 5, 0.2) is SignalSide.SELL


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0.0, 1.0)), max_size=60))
def test_signals_are_never_closer_than_the_cooldown(steps: list[tuple[int, float]]) -> None:
    book, now, last = SignalBook(RULES), 0, None
    for pause, up in steps:
        now += pause
        target = book.decide(a_prediction(up), now)
        if target is None:
            continue
        assert last is None or now - last >= RULES.cooldown_ns
        assert 0.0 <= target.strength <= 1.0
        assert (target.side is SignalSide.FLAT) == (target.strength == 0.0)
        last = now


def test_cooldowns_run_by_receive_time_live_and_by_event_time_in_a_replay() -> None:
    live = a_prediction(event_time_ns=NOON_NS, tick_receive_time_ns=NOON_NS + SECOND_NS)
    replayed = a_prediction(event_time_ns=NOON_NS, tick_receive_time_ns=NOON_NS + REPLAY_LAG_NS + 1)
    assert decision_time_ns("auto", live) == live.tick_receive_time_ns
    assert decision_time_ns("auto", replayed) == replayed.event_time_ns
    assert decision_time_ns("receive", replayed) == replayed.tick_receive_time_ns
    assert decision_time_ns("event", live) == live.event_time_ns
