"""The simulated market is reproducible, plausible, and as learnable as its documentation says."""

import hashlib
from itertools import islice

import numpy as np
import pytest

from services.paper_venue.domain.bursts import BurstRules, BurstSchedule
from services.paper_venue.domain.simulation import CHUNK_NS, Simulation, SimulationRules
from services.paper_venue.domain.ticks import Kind, Ticks
from trading.instruments import CATALOGUE, DEFAULT_SYMBOLS, Instruments

CHOSEN = tuple(Instruments(CATALOGUE).get(symbol) for symbol in DEFAULT_SYMBOLS)


def simulated(seed: int, chunks: int, start_ns: int = 0, edge: bool = True) -> Ticks:
    rules = SimulationRules(bursts=BurstRules(enabled=edge))
    return Ticks.concat(list(islice(Simulation(CHOSEN, seed, start_ns, rules).chunks(), chunks)))


def digest(ticks: Ticks, start_ns: int = 0) -> str:
    first = ticks[:10_000]
    whole = [first.time_ns - start_ns, *first.columns()[1:]]
    return hashlib.sha256(b"".join(np.ascontiguousarray(column).tobytes() for column in whole)).hexdigest()


def test_the_same_seed_gives_the_same_ticks_at_any_time() -> None:
    later = 1_704_205_800_000_000_000

    assert len(simulated(7, 20)) > 10_000
    assert digest(simulated(7, 20)) == digest(simulated(7, 20, start_ns=later), later)


def test_another_seed_gives_another_market() -> None:
    assert digest(simulated(7, 20)) != digest(simulated(8, 20))


@pytest.fixture(scope="module")
def market() -> Ticks:
    return simulated(7, 150)


def test_ticks_come_in_order_of_time(market: Ticks) -> None:
    assert (np.diff(market.time_ns) >= 0).all()
    assert market.time_ns[-1] < 150 * CHUNK_NS


def test_every_symbol_is_quoted_at_the_first_moment(market: Ticks) -> None:
    first = market[market.time_ns == 0]

    assert set(first.instrument.tolist()) == set(range(len(CHOSEN)))
    assert (first.kind == Kind.QUOTE).all()


def test_rates_are_as_set(market: Ticks) -> None:
    seconds = 150 * CHUNK_NS / 1e9 * len(CHOSEN)

    assert (market.kind == Kind.QUOTE).sum() / seconds == pytest.approx(20, rel=0.05)
    assert 5 <= (market.kind == Kind.TRADE).sum() / seconds <= 10


def test_quotes_are_uncrossed_on_the_tick_with_displayed_sizes(market: Ticks) -> None:
    quotes = market[market.kind == Kind.QUOTE]
    tick = np.array([i.tick_nanos for i in CHOSEN])[quotes.instrument]

    assert (quotes.a < quotes.c).all()
    assert (quotes.a % tick == 0).all()
    assert (quotes.c % tick == 0).all()
    assert (quotes.b > 0).all()
    assert (quotes.d > 0).all()


def test_trade_ids_count_up(market: Ticks) -> None:
    ids = market[market.kind == Kind.TRADE].d

    assert np.array_equal(ids, np.arange(1, len(ids) + 1))


def test_shares_move_together_more_than_with_coins(market: Ticks) -> None:
    def returns(instrument: int) -> np.ndarray:
        own = market[(market.kind == Kind.QUOTE) & (market.instrument == instrument)]
        seconds = np.arange(0, 600, 5) * 1_000_000_000
        mids = (own.a + own.c)[np.searchsorted(own.time_ns, seconds, "right") - 1]
        return np.diff(np.log(mids))

    names = [instrument.symbol for instrument in CHOSEN]
    calm = simulated(3, 150, edge=False)
    market = calm
    shares = np.corrcoef(returns(names.index("SPY")), returns(names.index("MSFT")))[0, 1]
    mixed = np.corrcoef(returns(names.index("SPY")), returns(names.index("BTC-USDT")))[0, 1]
    assert shares > 0.4
    assert shares > mixed


def test_a_schedule_of_bursts_does_not_depend_on_how_time_is_cut() -> None:
    times = np.arange(0, 400, 0.05)
    whole = BurstSchedule(BurstRules(), np.random.default_rng(1)).directions(times)
    schedule = BurstSchedule(BurstRules(), np.random.default_rng(1))
    pieces = np.concatenate([schedule.directions(part) for part in np.array_split(times, 100)])

    assert np.array_equal(whole, pieces)
    assert {-1.0, 0.0, 1.0} == set(np.unique(whole))


def test_no_burst_comes_when_the_edge_is_off() -> None:
    schedule = BurstSchedule(BurstRules(enabled=False), np.random.default_rng(1))

    assert not schedule.directions(np.arange(0, 1000, 0.05)).any()


def hits_after_one_sided_flow(ticks: Ticks) -> tuple[int, float]:
    """How often one-sided trades and sizes came together, and how often the mid then went their way within 3 s."""
    hits = []
    for instrument in range(len(CHOSEN)):
        own = ticks[ticks.instrument == instrument]
        quotes, trades = own[own.kind == Kind.QUOTE], own[own.kind == Kind.TRADE]
        mids, lean = (quotes.a + quotes.c) / 2, np.log(quotes.b / quotes.d)
        smooth = np.convolve(lean, np.ones(10) / 10)[: len(lean)]
        balance = np.r_[0, np.cumsum(trades.c)]
        now = np.searchsorted(trades.time_ns, quotes.time_ns, "right")
        flow = balance[now] - balance[np.searchsorted(trades.time_ns, quotes.time_ns - 10**9, "right")]
        later = np.searchsorted(quotes.time_ns, quotes.time_ns + 3 * 10**9, "right") - 1
        moves = np.sign(mids[later] - mids)
        strong = (np.abs(flow) >= 8) & (np.abs(smooth) > 1.0) & (np.sign(flow) == np.sign(smooth)) & (moves != 0)
        hits += (moves == np.sign(flow))[strong].tolist()
    return len(hits), float(np.mean(hits)) if hits else 0.0


def test_one_sided_flow_honestly_foretells_the_next_seconds() -> None:
    count, share = hits_after_one_sided_flow(simulated(11, 150))

    assert count > 1_000
    assert share > 0.8


def test_without_the_edge_such_flow_hardly_ever_happens() -> None:
    count, _ = hits_after_one_sided_flow(simulated(11, 150, edge=False))

    assert count < 50


def test_both_markets_are_about_equally_volatile() -> None:
    def variance(ticks: Ticks) -> float:
        spy = ticks[(ticks.kind == Kind.QUOTE) & (ticks.instrument == DEFAULT_SYMBOLS.index("SPY"))]
        at = np.searchsorted(spy.time_ns, np.arange(60, 2400, 30) * 10**9) - 1
        return float(np.var(np.diff(np.log(spy.a[at]))))

    assert 0.3 < variance(simulated(5, 600)) / variance(simulated(5, 600, edge=False)) < 3.0
