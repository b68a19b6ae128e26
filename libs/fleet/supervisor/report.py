"""The demo's report for a person, and what in it falls short."""

from typing import Any


def shortcomings(facts: dict[str, Any]) -> list[str]:
    """Why the run does not count as a success; empty when every stage had data and the books agree."""
    found = [f"no {stage} came through" for stage in ("predictions", "signals", "fills") if not facts[stage]]
    if not facts["ticks"]["market_data"]:
        found.append("no ticks came through")
    if not sum(facts["orders"].values()):
        found.append("no orders came through")
    if facts["ticks"]["lost"]:
        found.append(f"{facts['ticks']['lost']} ticks were lost between the venue and market_data")
    found += [f"the books disagree: {name} is false" for name, agrees in facts["books"].items() if not agrees]
    return found


def text(facts: dict[str, Any]) -> str:
    """The report as lines for a terminal."""
    ticks, latency = facts["ticks"], facts["latency_us"]
    orders = " · ".join(f"{count} {status}" for status, count in facts["orders"].items()) or "none"
    lines = [
        "",
        f"Traded for {facts['duration_s']} s, signals from confidence {facts['min_confidence']} on",
        "(a threshold chosen to exercise the path; no edge is claimed)",
        f"  ticks        {ticks['market_data']:,} of {ticks['venue']:,} that the venue sent, {ticks['lost']} lost",
        f"  predictions  {facts['predictions']:,}",
        f"  signals      {facts['signals']:,}",
        f"  orders       {orders}",
        f"  fills        {facts['fills']:,}",
        *_positions(facts["positions"]),
        f"  equity       {facts['pnl']['equity']}   cash {facts['pnl']['cash']}   P&L {facts['pnl']['day_pnl']}",
        f"  books        {', '.join(f'{name}: {agrees}' for name, agrees in facts['books'].items())}",
        f"  latency      {_latency('tick→signal', latency['tick_to_signal'])}",
        f"               {_latency('tick→order reply', latency['tick_to_order_reply'])}",
        f"  memory       {' · '.join(f'{name} {size:.0f} MB' for name, size in facts['rss_mb'].items())}",
        f"  ready after  {' · '.join(f'{name} {seconds} s' for name, seconds in facts['ready_s'].items())}",
        "",
    ]
    return "\n".join(lines) + "\n"


def _positions(positions: list[dict[str, Any]]) -> list[str]:
    return [
        f"  position     {row['symbol']:<9} {row['quantity']:>14} at {row['avg_price']}   "
        f"unrealised {row['unrealized_pnl']}   realised {row['realized_pnl']}"
        for row in positions
    ]


def _latency(name: str, window: dict[str, float]) -> str:
    return f"{name} p50 {window['p50']:,.0f} µs, p99 {window['p99']:,.0f} µs"
