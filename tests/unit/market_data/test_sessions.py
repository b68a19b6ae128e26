"""An instrument is open in its exchange's hours, unless it is halted or stands at a price band."""

import pytest
from builders.market import a_coin, a_share, nanos

from services.market_data.domain.sessions import Halt, PriceBands, Schedule, Session, SessionBoard, SessionState
from trading.market import Quote

MONDAY, TUESDAY = Session(100, 200), Session(300, 400)
BANDS = PriceBands("AAPL", nanos(90), nanos(110))


def a_board(*news: Halt | PriceBands) -> SessionBoard:
    board = SessionBoard()
    board.learn("XNYS", Schedule([TUESDAY, MONDAY]))
    for item in news:
        board.put(item)
    return board


def a_quote(bid: float, ask: float, at_ns: int = 150) -> Quote:
    return Quote("AAPL", nanos(bid), nanos(1), nanos(ask), nanos(1), at_ns, at_ns, "paper")


@pytest.mark.parametrize(
    ("now_ns", "state", "session"),
    [
        (50, SessionState.CLOSED, MONDAY),
        (100, SessionState.OPEN, MONDAY),
        (199, SessionState.OPEN, MONDAY),
        (200, SessionState.CLOSED, TUESDAY),
        (399, SessionState.OPEN, TUESDAY),
        (400, SessionState.UNKNOWN, None),
    ],
)
def test_a_share_is_open_in_its_exchange_s_sessions(now_ns: int, state: SessionState, session: Session | None) -> None:
    assert a_board().now(a_share(), None, now_ns) == (state, session)


def test_a_coin_is_always_open() -> None:
    assert SessionBoard().now(a_coin(), None, 0) == (SessionState.OPEN, None)


def test_as_long_as_the_hours_are_not_known_the_state_is_not() -> None:
    assert SessionBoard().now(a_share(), None, 150) == (SessionState.UNKNOWN, None)


def test_a_halt_is_known_even_without_hours() -> None:
    board = SessionBoard()
    board.put(Halt("AAPL", is_halted=True))

    assert board.now(a_share(), None, 150).state is SessionState.HALTED


def test_a_halt_holds_until_the_venue_lifts_it() -> None:
    board = a_board(Halt("AAPL", is_halted=True))
    halted = board.now(a_share(), None, 150).state
    other = board.now(a_share("MSFT"), None, 150).state
    board.put(Halt("AAPL", is_halted=False))

    states = (halted, other, board.now(a_share(), None, 150).state)
    assert states == (SessionState.HALTED, SessionState.OPEN, SessionState.OPEN)


def test_outside_of_its_hours_a_halted_share_is_closed() -> None:
    assert a_board(Halt("AAPL", is_halted=True)).now(a_share(), None, 50).state is SessionState.CLOSED


@pytest.mark.parametrize(
    ("bid", "ask", "state"),
    [
        (100, 101, SessionState.OPEN),
        (110, 0, SessionState.LIMIT_UP),
        (0, 90, SessionState.LIMIT_DOWN),
        (89, 91, SessionState.OPEN),
        (0, 0, SessionState.OPEN),
    ],
)
def test_a_quote_at_a_band_is_a_limit_state(bid: float, ask: float, state: SessionState) -> None:
    assert a_board(BANDS).now(a_share(), a_quote(bid, ask), 150).state is state


def test_a_quote_of_the_session_before_says_nothing_about_this_one() -> None:
    assert a_board(BANDS).now(a_share(), a_quote(110, 111, at_ns=150), 350).state is SessionState.OPEN
